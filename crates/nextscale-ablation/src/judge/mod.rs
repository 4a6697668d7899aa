//! Measuring images: a judge keeps a row per image, and turns the rows of a set into its measures.

mod context;
mod diversity;
mod features;
mod network;
mod pixels;
mod probe;
mod registry;
mod spectrum;

pub use context::Context;
pub use diversity::DiversityJudge;
pub use features::FeatureJudge;
pub use pixels::PixelJudge;
pub use probe::ProbeJudge;
pub use registry::{Judges, needed};
pub use spectrum::{Spectrum, SpectrumJudge};

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::images::Images;
use crate::{Error, Result};

/// Which way a measure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// A distance.
    Lower,
    /// A quality.
    Higher,
    /// It is descriptive, neither good nor bad.
    Neither,
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Its name, which always includes its features: "FD-Lite0", never "FID" for anything else.
    pub name: String,
    /// What it is, in one line.
    pub about: String,
    /// Which way is better.
    pub better: Better,
}

impl Measure {
    /// A measure.
    pub fn new(name: impl Into<String>, better: Better, about: impl Into<String>) -> Self {
        Self { name: name.into(), about: about.into(), better }
    }
}

/// What a judge keeps of every image: `[images, width]`, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Values per image.
    pub width: usize,
    /// The values.
    pub values: Vec<f32>,
    /// How often each image counts, in resampling; empty if each counts once.
    pub weights: Option<Vec<u32>>,
    /// What each image shows, by the name of its condition: a class by name or number, or a text. Empty if
    /// unknown.
    pub shows: Vec<Arc<str>>,
}

impl Rows {
    /// Rows that count once.
    ///
    /// # Errors
    /// If the values do not form whole rows.
    pub fn new(width: usize, values: Vec<f32>) -> Result<Self> {
        if width == 0 || !values.len().is_multiple_of(width) {
            return Err(Error::Usage(format!("{} values do not form whole rows of {width}", values.len())));
        }
        Ok(Self { width, values, weights: None, shows: Vec::new() })
    }

    /// The number of images.
    pub fn count(&self) -> usize {
        self.values.len() / self.width
    }

    /// Every image's values with its count.
    pub fn each(&self) -> impl Iterator<Item = (&[f32], u32)> {
        let weight = |i: usize| self.weights.as_ref().map_or(1, |weights| weights[i]);
        self.values.chunks(self.width).enumerate().map(move |(i, row)| (row, weight(i)))
    }
}

/// The result for a set of images.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Judged {
    /// One value per measure, in the order of [`Judge::measures`].
    pub values: Vec<f64>,
    /// A curve for the report, `(x, y)`; empty if there is none.
    pub curve: Vec<(f64, f64)>,
}

/// Measures images in two steps: a row per image, which is stored, and the values of sets of rows. So nothing
/// is computed twice, and the images need not be in memory.
pub trait Judge: Send + Sync {
    /// Everything besides the images that its values depend on: features, reference and its hash, resize, …
    /// in one line.
    fn protocol(&self) -> String;

    /// What its rows depend on besides the images: less than its values, if a reference is only used later.
    fn rows_protocol(&self) -> String {
        self.protocol()
    }

    /// Its measures.
    fn measures(&self) -> Vec<Measure>;

    /// The rows of images. A row must not depend on other images.
    ///
    /// # Errors
    /// If it does not support the images' size.
    fn look(&self, images: &Images) -> Result<Rows>;

    /// Reduces a block of rows to what [`judge`](Self::judge) reads of it. This runs once, whereas
    /// judging is repeated for every resampling of the images. By default rows are unchanged.
    ///
    /// # Errors
    /// If an image shows what the judge does not know.
    fn condense(&self, rows: Rows) -> Result<Rows> {
        Ok(rows)
    }

    /// The fewest images of a set that it can judge. An ablation of fewer is refused before any is generated.
    fn at_least(&self) -> u64 {
        1
    }

    /// How many images of a set must be of one condition, at least once. An ablation without them is refused
    /// before any image is generated.
    fn of_one_condition(&self) -> u64 {
        1
    }

    /// Whether its measures appear in a report's findings; otherwise they only describe images.
    fn leads(&self) -> bool {
        true
    }

    /// The measures of a set of `images` images, from its condensed rows, which arrive block by
    /// block.
    ///
    /// # Errors
    /// If there are too few images, or a block cannot be read.
    fn judge(&self, images: u64, rows: &mut dyn Iterator<Item = Result<Rows>>) -> Result<Judged>;

    /// Only the n-th of its [`measures`](Self::measures), by which settings are chosen many times.
    /// Override it if the other measures take long.
    ///
    /// # Errors
    /// As [`judge`](Self::judge).
    fn value(&self, at: usize, images: u64, rows: &mut dyn Iterator<Item = Result<Rows>>) -> Result<f64> {
        Ok(self.judge(images, rows)?.values[at])
    }

    /// The number of resamplings that it judges for an interval if there are too few seeds; 0 if
    /// judging takes too long.
    fn resamples(&self) -> usize {
        0
    }

    /// Whether its n-th measure estimates the same number whatever the number of images. A Fréchet distance does
    /// not: it falls with them.
    fn is_unbiased(&self, at: usize) -> bool {
        let _ = at;
        false
    }

    /// Why values of its n-th measure over this many images must not be compared with values over
    /// another number; `None` if they may.
    fn caution(&self, at: usize, images: u64) -> Option<String> {
        let _ = (at, images);
        None
    }

    /// What its curve shows, in words: title, x and y; `None` for a judge without a curve.
    fn curve(&self) -> Option<[&'static str; 3]> {
        None
    }
}

/// The mean row, each image counted as often as its weight.
///
/// # Errors
/// If there are no images, or a value is not finite.
pub fn mean_row(measure: &str, rows: &mut dyn Iterator<Item = Result<Rows>>) -> Result<Vec<f64>> {
    let mut sum = RowSum::default();
    for block in rows {
        sum.add(&block?);
    }
    sum.mean(measure)
}

/// The sum of rows, each counted as often as its weight.
#[derive(Debug, Default)]
struct RowSum {
    values: Vec<f64>,
    count: u64,
}

impl RowSum {
    fn add(&mut self, block: &Rows) {
        self.values.resize(block.width, 0.0);
        for (row, weight) in block.each().filter(|(_, weight)| *weight > 0) {
            self.values.iter_mut().zip(row).for_each(|(sum, &v)| *sum += f64::from(weight) * f64::from(v));
            self.count += u64::from(weight);
        }
    }

    fn mean(self, measure: &str) -> Result<Vec<f64>> {
        if self.count == 0 || self.values.iter().any(|sum| !sum.is_finite()) {
            let what = if self.count == 0 { "there are no images" } else { "a value is not finite" };
            return Err(Error::measure(measure, what));
        }
        Ok(self.values.into_iter().map(|sum| sum / self.count as f64).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_count_images_more_than_once_or_not_at_all() {
        let rows = |weights| Rows { weights, ..Rows::new(2, vec![1.0, 2.0, 3.0, 6.0]).unwrap() };
        let mean = |rows: Rows| mean_row("x", &mut [Ok(rows)].into_iter()).unwrap();
        assert_eq!(mean(rows(None)), [2.0, 4.0]);
        assert_eq!(mean(rows(Some(vec![0, 2]))), [3.0, 6.0]);
        assert_eq!(mean(rows(Some(vec![3, 1]))), [1.5, 3.0]);
        assert!(mean_row("x", &mut std::iter::empty()).is_err());
        let nan = Rows::new(1, vec![f32::NAN]).unwrap();
        assert!(mean_row("x", &mut [Ok(nan)].into_iter()).unwrap_err().to_string().contains("not finite"));
        assert!(Rows::new(2, vec![1.0]).is_err());
    }
}
