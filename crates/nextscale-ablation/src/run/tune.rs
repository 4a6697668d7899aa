//! Every cell at its own best settings, chosen on other seeds than those of the measurement.

use std::sync::Arc;

use crate::judge::{Better, Judge};
use crate::maker::{self, Maker, Set};
use crate::plan::{Ablation, Cell, Tune, label, product};
use crate::store::Chosen;
use crate::{Error, Result};

/// A cell at every point that it chooses from.
pub(super) struct Row {
    pub candidates: Vec<Cell>,
    /// In words.
    points: Vec<String>,
}

/// Every cell of the ablation at every point of its own axes and the common ones.
pub(super) fn rows(ablation: &Ablation, tune: &Tune) -> Result<Vec<Row>> {
    let row = |cell: &Cell| {
        let points = product(cell.tune.iter().chain(&tune.axes));
        let candidate = |point| cell.with(point, ablation.folder(), ablation.registry());
        let candidates = points.iter().map(candidate).collect::<Result<_>>()?;
        Ok(Row { candidates, points: points.iter().map(|point| label(point)).collect() })
    };
    ablation.cells.iter().map(row).collect()
}

/// The cells at their best points, with what each chose from; `None` if nothing is tuned.
pub(super) fn tune(
    ablation: &Ablation,
    judges: &[&dyn Judge],
    maker: &mut Maker<'_>,
) -> Result<Option<Vec<(Cell, Chosen)>>> {
    let Some(tune) = &ablation.tune else { return Ok(None) };
    let decider = Decider::of(tune, judges)?;
    let rows = rows(ablation, tune)?;
    let mut total = 0;
    for candidate in rows.iter().flat_map(|row| &row.candidates) {
        for &seed in &tune.seeds {
            total += maker.missing(candidate, seed, tune.samples, &[decider.judge])?;
        }
    }
    // The later work is unknown before the choice; this is the estimate if none of it exists yet.
    let after = ablation.samples * (ablation.seeds.len() * ablation.cells.len()) as u64;
    maker.expect(total + after);
    for candidate in rows.iter().flat_map(|row| &row.candidates) {
        for &seed in &tune.seeds {
            maker.fill(candidate, seed, tune.samples, &[decider.judge])?;
        }
    }
    choose(rows, tune, &decider, maker).map(Some)
}

/// Chooses each row's best candidate, of images that all exist.
pub(super) fn choose(
    rows: Vec<Row>,
    tune: &Tune,
    decider: &Decider<'_>,
    maker: &Maker<'_>,
) -> Result<Vec<(Cell, Chosen)>> {
    let mut best = Vec::new();
    for Row { candidates, points } in rows {
        let mut values = Vec::new();
        for candidate in &candidates {
            let id = maker.id(candidate);
            let set = Set {
                store: maker.store(),
                cell: &id,
                pixels: candidate.pixels,
                seeds: &tune.seeds,
                samples: tune.samples,
                shows: candidate.shows().into_iter().map(Arc::from).collect(),
            };
            let mut rows = maker::rows(set, decider.judge);
            let images = tune.samples * tune.seeds.len() as u64;
            values.push(decider.judge.value(decider.at, images, &mut rows)?);
        }
        let chosen = first_best(&values, decider.better);
        let points = points.into_iter().zip(values).collect();
        if let Some(cell) = candidates.into_iter().nth(chosen) {
            best.push((cell, Chosen { points, best: chosen }));
        }
    }
    Ok(best)
}

/// The choice in words.
pub(super) fn words(tune: &Tune) -> String {
    let seeds: Vec<String> = tune.seeds.iter().map(ToString::to_string).collect();
    format!("{} on {} images of each of the seeds {}", tune.by, tune.samples, seeds.join(", "))
}

/// The judge with the deciding measure, its index among the judge's measures, and its better direction.
pub(super) struct Decider<'a> {
    pub judge: &'a dyn Judge,
    at: usize,
    better: Better,
}

impl<'a> Decider<'a> {
    /// The judge that `tune.by` names.
    pub fn of(tune: &Tune, judges: &[&'a dyn Judge]) -> Result<Self> {
        let mut known = Vec::new();
        for judge in judges {
            for (at, measure) in judge.measures().into_iter().enumerate() {
                if measure.better == Better::Neither {
                    continue;
                }
                if measure.name == tune.by {
                    return Ok(Self { judge: *judge, at, better: measure.better });
                }
                known.push(format!("`{}`", measure.name));
            }
        }
        let error = tune.by_node.error(format!("`{}` cannot decide", tune.by));
        let help = match known.is_empty() {
            true => "none of the measures is better one way than the other; add one to `measures`".into(),
            false => format!("of the measures, these can: {}", known.join(", ")),
        };
        Err(Error::Config(error.with_help(help)))
    }
}

fn first_best(values: &[f64], better: Better) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        let wins = match better {
            Better::Higher => *value > values[best],
            _ => *value < values[best],
        };
        if wins {
            best = i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_best_wins() {
        assert_eq!(first_best(&[3.0, 1.0, 1.0, 2.0], Better::Lower), 1);
        assert_eq!(first_best(&[3.0, 1.0, 3.0, 2.0], Better::Higher), 0);
    }
}
