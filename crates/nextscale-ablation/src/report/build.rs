use std::sync::Arc;

use burn::tensor::Device;
use nextscale_config::Document;
use serde::{Deserialize, Serialize};

use super::{Completion, Curve, Measured, Report, Scatter, Value};
use crate::judge::{Better, Context, Judge, Judged, Judges, Rows};
use crate::maker::{Set, catch_up, rows};
use crate::plan::Pixels;
use crate::stats::{Difference, Draws, over_seeds, percentiles};
use crate::store::{Manifest, Planned, Store};
use crate::why::{Completed, Traced, trace_key};
use crate::{Error, Result};

/// From this many seeds on, intervals are over seeds; with fewer, over resampled images.
const SEEDS: usize = 5;

/// Gathers what is on disk into a report. `progress` receives the number of judged cells and their total.
///
/// # Errors
/// If images or rows are missing or damaged, or a measure cannot be computed.
pub fn build(
    store: &Store,
    judges: &Judges,
    device: &Device,
    mut progress: impl FnMut(usize, usize),
) -> Result<Report> {
    let ablation = store.manifest()?;
    let context = Context { reference: ablation.reference.as_ref(), folder: &ablation.folder, device };
    let built: Vec<Box<dyn Judge>> = ablation
        .measures
        .iter()
        .map(|text| judges.build(&Document::parse("measures", text)?, &context))
        .collect::<Result<_>>()?;
    let mut measures = Vec::new();
    let mut curves = Vec::new();
    for (at, judge) in built.iter().enumerate() {
        let jury = Jury { store, ablation: &ablation, judge: &**judge };
        let mut cells = Vec::new();
        for (i, cell) in ablation.cells.iter().enumerate() {
            progress(at * ablation.cells.len() + i, built.len() * ablation.cells.len());
            cells.push(jury.judge(cell)?);
        }
        let compared = jury.compare(&cells)?;
        for (m, measure) in judge.measures().into_iter().enumerate() {
            let values = cells.iter().zip(&compared).map(|(cell, compared)| Value {
                value: shown(cell, m),
                pooled: cell.all.values[m],
                seeds: cell.seeds.iter().map(|seed| seed[m]).collect(),
                interval: compared[m].interval,
                difference: compared[m].difference,
            });
            let caution = judge.caution(m, images(&ablation));
            measures.push(Measured {
                measure,
                leads: judge.leads(),
                of: at,
                protocol: judge.protocol(),
                caution,
                values: values.collect(),
            });
        }
        if let Some([title, x, y]) = judge.curve() {
            let cells = cells.into_iter().map(|cell| cell.all.curve).collect();
            curves.push(Curve { title: title.into(), x: x.into(), y: y.into(), cells });
        }
    }
    // Leading measures first, then others with a better direction, then descriptive ones; within a judge,
    // those that are reliable with this number of images come first.
    measures.sort_by_key(|measured| {
        let neither = measured.measure.better == Better::Neither;
        (neither, !measured.leads, measured.of, measured.caution.is_some())
    });
    let times = |cell: &Planned| match &ablation.times {
        Some(key) => store.kept(&cell.id, "times", key),
        None => Ok(None),
    };
    let times = ablation.cells.iter().map(times).collect::<Result<_>>()?;
    let (traces, completions) = (traces(store, &ablation)?, completions(store, &ablation)?);
    Ok(Report {
        interval: interval_words(&ablation, &built),
        scatters: Scatter::chosen(&measures, &ablation),
        measures,
        curves,
        traces,
        completions,
        times,
        ablation,
    })
}

/// What a report shows of a measure: the number to which its differences refer.
fn shown(cell: &Verdict, measure: usize) -> f64 {
    if cell.seeds.len() < SEEDS {
        return cell.all.values[measure];
    }
    cell.seeds.iter().map(|seed| seed[measure]).sum::<f64>() / cell.seeds.len() as f64
}

/// The number of images behind such a number.
fn images(ablation: &Manifest) -> u64 {
    let seeds = ablation.seeds.len();
    if seeds < SEEDS { ablation.samples * seeds as u64 } else { ablation.samples }
}

fn interval_words(ablation: &Manifest, judges: &[Box<dyn Judge>]) -> String {
    let seeds = ablation.seeds.len();
    if seeds >= SEEDS {
        return format!(
            "95 % by Student's t over {seeds} seeds; values are means over seeds, {} images each, and a difference is the mean \
             over seeds of the paired differences",
            ablation.samples
        );
    }
    let rounds = judges.iter().map(|judge| judge.resamples()).max().unwrap_or(0);
    format!(
        "95 % of {rounds} paired resamplings of the images, because there are fewer than {SEEDS} seeds; a measure that \
         takes too long for that has no interval"
    )
}

/// The results for a cell's images.
#[derive(Serialize, Deserialize)]
struct Verdict {
    all: Stored,
    seeds: Vec<Vec<f64>>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    values: Vec<f64>,
    curve: Vec<(f64, f64)>,
}

impl From<Judged> for Stored {
    fn from(Judged { values, curve }: Judged) -> Self {
        Self { values, curve }
    }
}

/// The uncertainty of a cell's measure.
struct Compared {
    interval: Option<(f64, f64)>,
    difference: Option<Difference>,
}

fn ends(difference: &Difference) -> Option<(f64, f64)> {
    Some((difference.low?, difference.high?))
}

/// One judge over all cells.
struct Jury<'a> {
    store: &'a Store,
    ablation: &'a Manifest,
    judge: &'a dyn Judge,
}

impl<'a> Jury<'a> {
    fn set(&self, cell: &'a Planned, seeds: &'a [u64]) -> Set<'a> {
        Set {
            store: self.store,
            cell: &cell.id,
            pixels: cell.pixels,
            seeds,
            samples: self.ablation.samples,
            shows: cell.shows.iter().map(|shows| Arc::from(shows.as_str())).collect(),
        }
    }

    fn rows(&self, cell: &'a Planned, seeds: &'a [u64]) -> impl Iterator<Item = Result<Rows>> + 'a {
        rows(self.set(cell, seeds), self.judge)
    }

    fn judge(&self, cell: &'a Planned) -> Result<Verdict> {
        let Manifest { seeds, samples, .. } = self.ablation;
        let key = format!("{} · {} · {samples} of {seeds:?}", self.judge.protocol(), cell.pixels);
        if let Some(kept) = self.store.kept::<Verdict>(&cell.id, "judged", &key)? {
            let measures = self.judge.measures().len();
            let whole = kept.all.values.len() == measures
                && kept.seeds.len() == seeds.len()
                && kept.seeds.iter().all(|seed| seed.len() == measures);
            // A damaged one is computed again.
            if whole {
                return Ok(kept);
            }
        }
        catch_up(&self.set(cell, seeds), self.judge)?;
        let all = self.judge.judge(samples * seeds.len() as u64, &mut self.rows(cell, seeds))?;
        if let Some(at) = all.values.iter().position(|value| !value.is_finite()) {
            let measure = self.judge.measures()[at].name.clone();
            return Err(Error::measure(measure, format!("it is not a finite number for {}", cell.name)));
        }
        let each = seeds.iter().map(|seed| {
            Ok(self.judge.judge(*samples, &mut self.rows(cell, std::slice::from_ref(seed)))?.values)
        });
        let verdict = Verdict { all: all.into(), seeds: each.collect::<Result<_>>()? };
        self.store.keep(&cell.id, "judged", &key, &verdict)?;
        // Read back, so that rewriting a report does not change the last digit.
        Ok(self.store.kept(&cell.id, "judged", &key)?.unwrap_or(verdict))
    }

    /// Every cell's intervals and differences from the baseline, measure by measure.
    fn compare(&self, cells: &[Verdict]) -> Result<Vec<Vec<Compared>>> {
        let at = self.ablation.baseline;
        let baseline = &cells[at];
        let measures = baseline.all.values.len();
        let rounds = self.judge.resamples() as u32;
        if self.ablation.seeds.len() >= SEEDS {
            let over = |cell: &Verdict, m: usize, base: Option<&Verdict>| {
                let seeds = cell.seeds.iter().enumerate();
                over_seeds(
                    &seeds
                        .map(|(i, seed)| seed[m] - base.map_or(0.0, |base| base.seeds[i][m]))
                        .collect::<Vec<_>>(),
                )
            };
            let of = |(i, cell): (usize, &Verdict)| {
                let each = (0..measures).map(|m| Compared {
                    interval: ends(&over(cell, m, None)),
                    difference: (i != at).then(|| over(cell, m, Some(baseline))),
                });
                each.collect()
            };
            return Ok(cells.iter().enumerate().map(of).collect());
        }
        let resampled = |i: usize| self.resampled(&self.ablation.cells[i], rounds);
        let base = resampled(at)?;
        let mut compared = Vec::new();
        for (i, cell) in cells.iter().enumerate() {
            let own = if i == at { base.clone() } else { resampled(i)? };
            let each = (0..measures).map(|m| {
                let value = cell.all.values[m];
                let difference = || {
                    let differences = own.iter().zip(&base).map(|(a, b)| a[m] - b[m]).collect();
                    percentiles(value - baseline.all.values[m], differences)
                };
                Compared {
                    interval: ends(&percentiles(value, own.iter().map(|own| own[m]).collect())),
                    difference: (i != at).then(difference),
                }
            });
            compared.push(each.collect());
        }
        Ok(compared)
    }

    /// The measures of this many resamplings of a cell's images, the same resamplings for every cell.
    fn resampled(&self, cell: &'a Planned, rounds: u32) -> Result<Vec<Vec<f64>>> {
        if rounds == 0 {
            return Ok(Vec::new());
        }
        let mut seeds = Vec::new();
        for seed in &self.ablation.seeds {
            let mut all = Rows { width: 1, values: Vec::new(), weights: None, shows: Vec::new() };
            for block in self.rows(cell, std::slice::from_ref(seed)) {
                let block = block?;
                all.width = block.width;
                all.values.extend(block.values);
                all.shows.extend(block.shows);
            }
            seeds.push(all);
        }
        let images = seeds.iter().map(|rows: &Rows| rows.count() as u64).sum();
        let draws = Draws::new(0);
        let round = |round| {
            for (group, rows) in seeds.iter_mut().enumerate() {
                rows.weights = Some(draws.weights(round, group as u32, rows.count()));
            }
            Ok(self.judge.judge(images, &mut seeds.iter().map(|rows| Ok(rows.clone())))?.values)
        };
        (0..rounds).map(round).collect()
    }
}

fn traces(store: &Store, ablation: &Manifest) -> Result<Vec<Option<Traced>>> {
    let key = trace_key(ablation.traces, ablation.seeds[0], &ablation.cells[ablation.baseline].id);
    let of = |cell: &Planned| match cell.pixels {
        Pixels::AsTheyAre if ablation.traces > 0 => store.kept(&cell.id, "trace", &key),
        _ => Ok(None),
    };
    ablation.cells.iter().map(of).collect()
}

fn completions(store: &Store, ablation: &Manifest) -> Result<Vec<Option<Vec<Completion>>>> {
    let Some(key) = &ablation.completion else { return Ok(vec![None; ablation.cells.len()]) };
    let read = |cell: &Planned| match cell.pixels {
        Pixels::AsTheyAre => store.kept::<Completed>(&cell.id, "completion", key),
        _ => Ok(None),
    };
    let all: Vec<Option<Completed>> = ablation.cells.iter().map(read).collect::<Result<_>>()?;
    let baseline = all[ablation.baseline].clone();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let of = |(i, completed): (usize, &Option<Completed>)| {
        let rows = completed.as_ref()?.distances.iter().enumerate().map(|(k, row)| {
            let base =
                baseline.as_ref().filter(|_| i != ablation.baseline).and_then(|base| base.distances.get(k));
            let difference = base.map(|base| {
                let paired: Vec<f64> = row.iter().zip(base).map(|(a, b)| a - b).collect();
                over_seeds(&paired)
            });
            Completion { kept: k + 1, distance: mean(row), difference }
        });
        Some(rows.collect())
    };
    Ok(all.iter().enumerate().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(pooled: f64, seeds: &[f64]) -> Verdict {
        let all = Stored { values: vec![pooled], curve: Vec::new() };
        Verdict { all, seeds: seeds.iter().map(|&seed| vec![seed]).collect() }
    }

    #[test]
    fn a_difference_is_that_of_the_values_beside_it() {
        // A biased measure: over the images of all seeds it moves in the opposite direction from each seed.
        let (a, b) = (verdict(605.0, &[900.0, 910.0, 905.0, 915.0, 920.0]), verdict(652.0, &[890.0; 5]));
        let paired: Vec<f64> = a.seeds.iter().zip(&b.seeds).map(|(a, b)| a[0] - b[0]).collect();
        assert!((over_seeds(&paired).value - (shown(&a, 0) - shown(&b, 0))).abs() < 1e-9);
        let (a, b) = (verdict(605.0, &[900.0, 910.0]), verdict(652.0, &[890.0, 890.0]));
        assert_eq!(shown(&a, 0) - shown(&b, 0), 605.0 - 652.0);
    }
}
