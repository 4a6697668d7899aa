//! Which parts of a run a trace keeps.

use std::ops::RangeInclusive;

use nextscale_config::Node;
use nextscale_core::ScaleSchedule;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Which parts of a run a trace keeps: all by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TraceSpec {
    /// The scales, counted from 0; all if none is given.
    pub scales: Vec<usize>,
    /// The images of the run, counted from 0; all if none is given.
    pub images: Vec<u64>,
    /// The fields; all if none is given.
    pub fields: Vec<TraceField>,
    /// The type of all fields except tokens.
    pub dtype: TraceDtype,
}

/// A field of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TraceField {
    /// The logits of every pass.
    Logits,
    /// The predictions of priors.
    Prior,
    /// The guided logits.
    Guided,
    /// The tokens.
    Tokens,
    /// The canvas.
    Canvas,
    /// The finished images.
    Images,
}

impl TraceField {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Logits, Self::Prior, Self::Guided, Self::Tokens, Self::Canvas, Self::Images];

    /// Its name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Prior => "prior",
            Self::Guided => "guided",
            Self::Tokens => "tokens",
            Self::Canvas => "canvas",
            Self::Images => "images",
        }
    }
}

/// The type of a trace's numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TraceDtype {
    /// Unrounded.
    #[default]
    F32,
    /// Rounded to 11 bits, at half the size; values beyond 65504 become infinite.
    F16,
}

impl TraceSpec {
    /// Reads a config's `trace`.
    ///
    /// # Errors
    /// If a field is unknown or of another kind, with the place.
    pub fn read(node: &Node) -> Result<Self> {
        Ok(node.decode()?)
    }

    /// Checks it against the run, and sorts images and scales.
    ///
    /// # Errors
    /// If it names a scale or an image that the run does not have, or leaves nothing to keep.
    pub(crate) fn check(&mut self, node: &Node, schedule: &ScaleSchedule, images: u64) -> Result<()> {
        self.scales.sort_unstable();
        self.scales.dedup();
        self.images.sort_unstable();
        self.images.dedup();
        if let Some(scale) = self.scales.last().filter(|scale| **scale >= schedule.len()) {
            let error = node.error(format!("trace.scales: there is no scale {scale}"));
            let last = schedule.len() - 1;
            return Err(error.with_help(format!("the scales are 0 to {last}")).into());
        }
        if let Some(image) = self.images.last().filter(|image| **image >= images) {
            let error = node.error(format!("trace.images: there is no image {image}"));
            return Err(error.with_help(format!("the images are 0 to {}", images.saturating_sub(1))).into());
        }
        Ok(())
    }

    /// Whether it keeps the whole run, unrounded.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a scale is kept.
    pub fn has_scale(&self, scale: usize) -> bool {
        self.scales.is_empty() || self.scales.binary_search(&scale).is_ok()
    }

    /// Whether a field is kept.
    pub fn has(&self, field: TraceField) -> bool {
        self.fields.is_empty() || self.fields.contains(&field)
    }

    /// The index of an image among the kept ones.
    pub fn place(&self, image: u64) -> Option<u64> {
        if self.images.is_empty() {
            return Some(image);
        }
        self.images.binary_search(&image).ok().map(|place| place as u64)
    }

    /// The identity of a run's trace of what this keeps.
    pub(crate) fn identity(&self, run: &str) -> String {
        // A trace of everything is written as in earlier versions.
        if self.is_all() { run.to_owned() } else { format!("{run} {self:?}") }
    }

    /// The same for some images of the run, in ascending order; `None` if it keeps none of them.
    pub(crate) fn part(&self, images: &[u64]) -> Option<Self> {
        let images: Vec<u64> = images.iter().copied().filter(|&image| self.place(image).is_some()).collect();
        (!images.is_empty()).then(|| Self { images, ..self.clone() })
    }

    /// How many of a run's images are kept.
    pub fn count(&self, images: u64) -> u64 {
        if self.images.is_empty() { images } else { self.images.len() as u64 }
    }
}

/// Numbers as a command line lists them: `0,3,8-11`.
///
/// # Errors
/// What is wrong, in words.
pub fn numbers(text: &str) -> Result<Vec<u64>, String> {
    let range = |part: &str| -> Option<RangeInclusive<u64>> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (first <= last && last - first < LONGEST).then_some(first..=last)
    };
    let parts = text.split(',').map(|part| {
        range(part).ok_or_else(|| format!("`{part}` is not a number or a range; write them like 0,3,8-11"))
    });
    Ok(parts.collect::<Result<Vec<_>, String>>()?.into_iter().flatten().collect())
}

/// The most numbers in a range.
const LONGEST: u64 = 1 << 24;

#[cfg(test)]
mod tests {
    use super::*;
    use nextscale_config::Document;

    fn checked(text: &str) -> Result<TraceSpec> {
        let node = Document::parse("run.ron", text)?;
        let mut spec = TraceSpec::read(&node)?;
        spec.check(&node, &ScaleSchedule::square(&[1, 2, 4]).unwrap(), 10)?;
        Ok(spec)
    }

    #[test]
    fn what_is_not_named_is_all() {
        let all = checked("()").unwrap();
        assert!(all.is_all() && all.has_scale(2) && all.has(TraceField::Prior));
        assert_eq!((all.place(7), all.count(10)), (Some(7), 10));
        let some = checked("(scales: [2, 0], images: [7, 3], fields: [Tokens], dtype: f16)").unwrap();
        assert!(some.has_scale(0) && !some.has_scale(1) && !some.has(TraceField::Prior));
        assert_eq!((some.place(3), some.place(7), some.place(4)), (Some(0), Some(1), None));
        assert_eq!((some.count(10), some.dtype), (2, TraceDtype::F16));
    }

    #[test]
    fn what_the_run_does_not_have_is_named() {
        for (text, told) in [
            ("(scales: [3])", "there is no scale 3"),
            ("(images: [10])", "there is no image 10"),
            ("(fields: [Tokns])", "Tokns"),
            ("(dtype: f64)", "f64"),
        ] {
            let error = checked(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn lists_and_ranges_are_read() {
        assert_eq!(numbers("0,3,8-11").unwrap(), [0, 3, 8, 9, 10, 11]);
        for wrong in ["", "a", "3-1", "1,,2", "0-18446744073709551615"] {
            assert!(numbers(wrong).is_err(), "{wrong}");
        }
    }
}
