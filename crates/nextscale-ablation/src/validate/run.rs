//! From a card to its outcome.

use std::sync::Arc;

use super::card::GROUPS;
use super::{Card, Checked, Expected, Measured, Outcome};
use crate::judge::{Judge, Judges, Rows};
use crate::maker::{Set, rows};
use crate::run::{Options, run};
use crate::stats::{jackknife, t_95};
use crate::store::{Manifest, Store};
use crate::{Error, Result};

/// Makes the card's images in the folder, unless they are there, and compares their measures with the published
/// numbers. `measuring` receives the name of the current measure.
///
/// # Errors
/// As [`run`], and if a measure cannot be taken.
pub fn validate<'a>(
    card: &Card,
    judges: &Judges,
    store: &'a Store,
    options: Options<'a>,
    measuring: &mut dyn FnMut(&str),
) -> Result<Outcome> {
    // Before hours of images: names are wrong at once.
    let built = card.judges(judges, &options.device)?;
    let manifest = run(&card.name, &card.ablation, &built, store, options)?;
    let mut checked = Vec::new();
    let mut protocols: Vec<String> = Vec::new();
    for expected in card.chosen(&built) {
        measuring(&expected.measure);
        let (judge, at) = find(&built, &expected.measure)?;
        let measured = measure(judge, at, &manifest, store)?;
        if !protocols.contains(&judge.protocol()) {
            protocols.push(judge.protocol());
        }
        checked.push(Checked::new(expected, measured));
    }
    Ok(Outcome {
        name: card.name.clone(),
        source: card.source.clone(),
        checked,
        open: card.open.clone(),
        version: manifest.version,
        device: manifest.device,
        protocols,
    })
}

impl Card {
    /// The number to compare with of every measure, in the card's order: the one over as many images, else the one
    /// over the most.
    fn chosen(&self, judges: &[Box<dyn Judge>]) -> Vec<Expected> {
        let names = judges.iter().flat_map(|judge| judge.measures()).map(|measure| measure.name);
        let mut chosen: Vec<Expected> = Vec::new();
        for name in names {
            let all = || self.expected.iter().filter(|expected| expected.measure == name);
            let own = all().find(|expected| expected.images == self.images);
            chosen.extend(own.or_else(|| all().max_by_key(|expected| expected.images)).cloned());
        }
        chosen
    }
}

fn find<'a>(judges: &'a [Box<dyn Judge>], name: &str) -> Result<(&'a dyn Judge, usize)> {
    let named = |judge: &'a dyn Judge| {
        let at = judge.measures().iter().position(|measure| measure.name == name)?;
        Some((judge, at))
    };
    judges
        .iter()
        .map(AsRef::as_ref)
        .find_map(named)
        .ok_or_else(|| Error::measure(name, "no entry of `measures` gives it"))
}

/// A measure over all images, with its interval from the images without one tenth, for every tenth.
fn measure(judge: &dyn Judge, at: usize, manifest: &Manifest, store: &Store) -> Result<Measured> {
    let (images, cell) = (manifest.samples, &manifest.cells[manifest.baseline]);
    let set = || Set {
        store,
        cell: &cell.id,
        pixels: cell.pixels,
        seeds: &manifest.seeds,
        samples: images,
        shows: cell.shows.iter().map(|shows| Arc::from(shows.as_str())).collect(),
    };
    let name = || judge.measures().get(at).map_or_else(String::new, |measure| measure.name.clone());
    let value = judge.value(at, images, &mut rows(set(), judge))?;
    let groups = Groups::new(images, cell.shows.len() as u64);
    let without = |group: u64| {
        let left = images - groups.count(group);
        let mut first = 0;
        let mut kept = rows(set(), judge).map(|block| {
            let block = block?;
            let from = first;
            first += block.count() as u64;
            Ok(groups.without(block, from, group))
        });
        judge.value(at, left, &mut kept)
    };
    let without = (0..GROUPS as u64).map(without).collect::<Result<Vec<f64>>>()?;
    if !value.is_finite() || without.iter().any(|value| !value.is_finite()) {
        return Err(Error::measure(name(), "it is not a finite number"));
    }
    let half = t_95(GROUPS - 1) * jackknife(&without);
    Ok(Measured { images, value, half, unbiased: judge.is_unbiased(at) })
}

/// Tenths of the images, each with the same share of every condition where there are enough images.
struct Groups {
    images: u64,
    /// Neighbouring images that stay together: a round over the conditions.
    round: u64,
}

impl Groups {
    fn new(images: u64, conditions: u64) -> Self {
        let round = conditions.max(1);
        Self { images, round: if images >= round * GROUPS as u64 { round } else { 1 } }
    }

    fn of(&self, image: u64) -> u64 {
        image / self.round % GROUPS as u64
    }

    fn count(&self, group: u64) -> u64 {
        (0..self.images).filter(|&image| self.of(image) == group).count() as u64
    }

    /// A block of rows, the first of which is of image `first`, without those of a group.
    fn without(&self, block: Rows, first: u64, group: u64) -> Rows {
        let keeps = |at: &usize| self.of(first + *at as u64) != group;
        let kept: Vec<usize> = (0..block.count()).filter(keeps).collect();
        let row = |&at: &usize| block.values[at * block.width..][..block.width].iter().copied();
        Rows {
            width: block.width,
            values: kept.iter().flat_map(row).collect(),
            weights: block.weights.as_ref().map(|weights| kept.iter().map(|&at| weights[at]).collect()),
            shows: kept.iter().filter_map(|&at| block.shows.get(at).cloned()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenths_have_the_same_share_of_every_class() {
        let groups = Groups::new(300, 10);
        for group in 0..10 {
            assert_eq!(groups.count(group), 30);
            for class in 0..10 {
                let own = (0..300).filter(|image| image % 10 == class && groups.of(*image) == group);
                assert_eq!(own.count(), 3, "class {class} in group {group}");
            }
        }
        // Too few for that: still ten groups.
        let groups = Groups::new(50, 1000);
        assert!((0..10).all(|group| groups.count(group) == 5));
    }

    #[test]
    fn rows_of_a_group_are_left_out_with_what_they_show() {
        let shows: Vec<Arc<str>> = ["a", "b", "a", "b"].map(Arc::from).to_vec();
        let block = Rows { shows, ..Rows::new(2, (0..8).map(|value| value as f32).collect()).unwrap() };
        let groups = Groups::new(50, 1000);
        // Images 9 to 12: groups 9, 0, 1, 2.
        let kept = groups.without(block, 9, 0);
        assert_eq!(kept.values, [0.0, 1.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(kept.shows.iter().map(|shows| &**shows).collect::<Vec<_>>(), ["a", "a", "b"]);
    }
}
