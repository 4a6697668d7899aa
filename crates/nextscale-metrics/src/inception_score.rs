//! The Inception Score.

use crate::numpy_random::RandomState;
use crate::{Error, Result};

/// What the Inception Score needs of a set: sums over class probabilities, per split.
///
/// A seeded shuffle assigns images to splits in advance, so logits can be streamed.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreSums {
    classes: usize,
    /// Images in each split.
    counts: Vec<u64>,
    /// Σ over images of Σ_c p log p, per split.
    negative_entropies: Vec<f64>,
    /// Σ over images of p, `[splits, classes]`.
    probabilities: Vec<f64>,
}

/// An Inception Score: the mean over splits, and the standard deviation between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// The mean.
    pub value: f64,
    /// The standard deviation, dividing by the number of splits as torch-fidelity and the original do.
    pub deviation: f64,
}

/// The split of every image: the shuffled set is cut into runs of nearly equal length.
#[derive(Debug, Clone)]
pub struct Splits {
    of: Vec<u16>,
    count: usize,
}

impl Splits {
    /// Cuts `images` images, shuffled by numpy's generator as in torch-fidelity, into `splits` runs. Some are
    /// empty if there are fewer images.
    ///
    /// # Errors
    /// [`Error::Setting`] for no splits, or more than 1000.
    pub fn new(images: u64, splits: usize, seed: u32) -> Result<Self> {
        if splits == 0 || splits > 1000 {
            return Err(Error::Setting { name: "splits", problem: "must be from 1 to 1000".into() });
        }
        let count = u32::try_from(images).unwrap_or(u32::MAX);
        let order = RandomState::new(seed).permutation(count);
        let mut of = vec![0; order.len()];
        for split in 0..splits {
            let bound = |split: usize| (split as u64 * images / splits as u64) as usize;
            order[bound(split)..bound(split + 1)].iter().for_each(|&image| of[image as usize] = split as u16);
        }
        Ok(Self { of, count: splits })
    }
}

impl ScoreSums {
    /// Empty sums.
    pub fn new(splits: usize, classes: usize) -> Self {
        Self {
            classes,
            counts: vec![0; splits],
            negative_entropies: vec![0.0; splits],
            probabilities: vec![0.0; splits * classes],
        }
    }

    /// Sums from the result of [`parts`](Self::parts).
    ///
    /// # Errors
    /// [`Error::Shape`] if the three do not match.
    pub fn from_parts(
        counts: Vec<u64>,
        negative_entropies: Vec<f64>,
        probabilities: Vec<f64>,
    ) -> Result<Self> {
        let splits = counts.len();
        let classes = probabilities.len() / splits.max(1);
        if negative_entropies.len() != splits || classes == 0 || probabilities.len() != splits * classes {
            let what = "the Inception Score's sums".into();
            return Err(Error::Shape { what, found: probabilities.len(), expected: splits * classes });
        }
        Ok(Self { classes, counts, negative_entropies, probabilities })
    }

    /// Whether they have the same splits and classes.
    pub(crate) fn fits(&self, other: &Self) -> bool {
        (self.counts.len(), self.classes) == (other.counts.len(), other.classes)
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Images in each split, Σ Σ_c p log p in each, Σ p in each `[splits, classes]`.
    pub fn parts(&self) -> (&[u64], &[f64], &[f64]) {
        (&self.counts, &self.negative_entropies, &self.probabilities)
    }

    /// Adds the images `first`, `first + 1`, … by their logits, `[images, classes]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if they are not whole images or exceed the splits; [`Error::NotFinite`] if a logit is
    /// NaN or infinite.
    pub fn push(&mut self, splits: &Splits, first: u64, logits: &[f32]) -> Result<()> {
        let images = logits.len() / self.classes.max(1);
        let fits = images * self.classes == logits.len() && splits.count == self.counts.len();
        let of = usize::try_from(first).ok().and_then(|first| splits.of.get(first..)?.get(..images));
        let (Some(of), true) = (of, fits) else {
            return Err(Error::Shape {
                what: "logits".into(),
                found: logits.len(),
                expected: images * self.classes,
            });
        };
        let mut probabilities = vec![0.0; self.classes];
        for (row, (logits, &split)) in logits.chunks_exact(self.classes).zip(of).enumerate() {
            if let Some(column) = logits.iter().position(|value| !value.is_finite()) {
                let (what, row) = ("logits".into(), first + row as u64);
                return Err(Error::NotFinite { what, row, column, value: logits[column] });
            }
            let split = usize::from(split);
            let largest = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
            let shifted = |value: &f32| f64::from(*value) - f64::from(largest);
            let total: f64 = logits.iter().map(|value| shifted(value).exp()).sum();
            probabilities.iter_mut().zip(logits).for_each(|(p, value)| *p = shifted(value).exp() / total);
            let log_total = total.ln();
            self.counts[split] += 1;
            self.negative_entropies[split] += probabilities
                .iter()
                .zip(logits)
                .map(|(p, value)| p * (shifted(value) - log_total))
                .sum::<f64>();
            let sums = &mut self.probabilities[split * self.classes..][..self.classes];
            sums.iter_mut().zip(&probabilities).for_each(|(sum, p)| *sum += p);
        }
        Ok(())
    }

    /// exp(mean over images of KL(p(y|x) ‖ p(y))), the mean over splits.
    ///
    /// Source: Salimans et al., "Improved techniques for training GANs" (2016), section 4.
    ///
    /// # Errors
    /// [`Error::TooFew`] if a split is empty.
    pub fn score(&self) -> Result<Score> {
        let mut scores = Vec::with_capacity(self.counts.len());
        for (split, &count) in self.counts.iter().enumerate() {
            if count == 0 {
                let what = format!("an Inception Score of {} splits", self.counts.len());
                let found = self.counts.iter().sum();
                return Err(Error::TooFew { what, needed: self.counts.len() as u64, found });
            }
            let n = count as f64;
            let sums = &self.probabilities[split * self.classes..][..self.classes];
            let entropy: f64 = sums.iter().map(|sum| sum / n).filter(|&q| q > 0.0).map(|q| -q * q.ln()).sum();
            scores.push((self.negative_entropies[split] / n + entropy).exp());
        }
        let n = scores.len() as f64;
        let value = scores.iter().sum::<f64>() / n;
        let variance = scores.iter().map(|score| (score - value).powi(2)).sum::<f64>() / n;
        Ok(Score { value, deviation: variance.sqrt() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::features;

    fn score(logits: &[f32], classes: usize, splits: usize, seed: u32, batch: usize) -> Score {
        let images = logits.len() / classes;
        let assigned = Splits::new(images as u64, splits, seed).unwrap();
        let mut sums = ScoreSums::new(splits, classes);
        for (i, rows) in logits.chunks(batch * classes).enumerate() {
            sums.push(&assigned, (i * batch) as u64, rows).unwrap();
        }
        sums.score().unwrap()
    }

    /// torch-fidelity 0.4.0 (`isc_features_to_metric`) on the same logits.
    #[test]
    fn equals_torch_fidelity() {
        let logits: Vec<f32> = features(1003, 20, 3, 0).iter().map(|value| value - 4.0).collect();
        for (splits, seed, value, deviation) in [
            (10, 2020, 1.5313383981151838, 0.016748290607324776),
            (7, 5, 1.5353120481306546, 0.013460762330185418),
        ] {
            let found = score(&logits, 20, splits, seed, 100);
            assert!((found.value - value).abs() < 1e-12, "{found:?}");
            assert!((found.deviation - deviation).abs() < 1e-12, "{found:?}");
            assert_eq!(found, score(&logits, 20, splits, seed, 1003));
        }
    }

    #[test]
    fn certain_and_even_classes_score_their_number_and_one_class_scores_one() {
        let certain: Vec<f32> = (0..40)
            .flat_map(|image| (0..4).map(move |c| if image % 4 == c { 1000.0 } else { 0.0 }))
            .collect();
        assert!((score(&certain, 4, 1, 0, 7).value - 4.0).abs() < 1e-12);
        assert!((score(&[0.5; 80], 4, 2, 0, 7).value - 1.0).abs() < 1e-12);
    }

    #[test]
    fn more_splits_than_images_and_bad_logits_are_refused() {
        let mut sums = ScoreSums::new(10, 2);
        sums.push(&Splits::new(9, 10, 0).unwrap(), 0, &[0.0; 18]).unwrap();
        assert!(matches!(sums.score(), Err(Error::TooFew { needed: 10, found: 9, .. })));
        assert!(matches!(Splits::new(9, 0, 0), Err(Error::Setting { .. })));
        let splits = Splits::new(3, 2, 0).unwrap();
        let mut sums = ScoreSums::new(2, 2);
        assert!(matches!(sums.score(), Err(Error::TooFew { .. })));
        assert!(matches!(sums.push(&splits, 2, &[0.0; 4]), Err(Error::Shape { .. })));
        let error = sums.push(&splits, 1, &[0.0, 0.0, 0.0, f32::NAN]).unwrap_err().to_string();
        assert!(error.contains("image 2"), "{error}");
    }
}
