//! The usage of a codebook.

use burn::tensor::{Int, Tensor};

/// Counts how often each code was used.
#[derive(Debug, Clone)]
pub struct CodeUse {
    /// f32, as in checkpoints: exact up to 2²⁴ uses of one code between two resets.
    counts: Vec<f32>,
}

impl CodeUse {
    /// Counts of `vocabulary` codes, all zero.
    pub fn new(vocabulary: usize) -> Self {
        Self { counts: vec![0.0; vocabulary] }
    }

    /// Counts the tokens of all scales.
    pub fn count<const D: usize>(&mut self, tokens: &[Tensor<D, Int>]) {
        for scale in tokens {
            for token in scale.to_data().iter::<i64>() {
                if let Some(count) = usize::try_from(token).ok().and_then(|token| self.counts.get_mut(token))
                {
                    *count += 1.0;
                }
            }
        }
    }

    /// The counts.
    pub fn counts(&self) -> &[f32] {
        &self.counts
    }

    /// Restores the result of [`counts`](Self::counts).
    pub fn set(&mut self, counts: &[f32]) {
        self.counts = counts.to_vec();
    }

    /// Resets the counts.
    pub fn clear(&mut self) {
        self.counts.fill(0.0);
    }

    /// The codes that were never used.
    pub fn unused(&self) -> Vec<usize> {
        (0..self.counts.len()).filter(|&code| self.counts[code] == 0.0).collect()
    }

    /// How many codes were used.
    pub fn used(&self) -> usize {
        self.counts.iter().filter(|&&count| count > 0.0).count()
    }

    /// The exponential of the entropy of the uses: the number of codes if all are used equally. 0 without
    /// counts.
    pub fn perplexity(&self) -> f64 {
        let total: f64 = self.counts.iter().map(|&count| f64::from(count)).sum();
        if total == 0.0 {
            return 0.0;
        }
        let shares = self.counts.iter().filter(|&&count| count > 0.0).map(|&count| f64::from(count) / total);
        (-shares.map(|p| p * p.ln()).sum::<f64>()).exp()
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    #[test]
    fn counts_codes_and_their_entropy() {
        let mut codes = CodeUse::new(5);
        assert_eq!(codes.perplexity(), 0.0);
        let tokens = TensorData::new(vec![0i64, 0, 3, 3], [2, 2]);
        codes.count(&[Tensor::<2, Int>::from_data(tokens, &Device::flex())]);
        assert_eq!((codes.used(), codes.unused()), (2, vec![1, 2, 4]));
        assert!((codes.perplexity() - 2.0).abs() < 1e-12);
        codes.clear();
        assert_eq!(codes.used(), 0);
    }
}
