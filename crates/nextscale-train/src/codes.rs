//! How a codebook is used.

use burn::tensor::{Int, Tensor};

/// Counts of how often each code was chosen.
#[derive(Debug, Clone)]
pub struct CodeUse {
    /// f32, as checkpoints hold it: exact up to 2²⁴ choices of one code between two clearings.
    counts: Vec<f32>,
}

impl CodeUse {
    /// No code of `vocabulary` chosen yet.
    pub fn new(vocabulary: usize) -> Self {
        Self { counts: vec![0.0; vocabulary] }
    }

    /// Takes in the tokens of all scales.
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

    /// Puts back what [`counts`](Self::counts) gave.
    pub fn set(&mut self, counts: &[f32]) {
        self.counts = counts.to_vec();
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        self.counts.fill(0.0);
    }

    /// The codes that were never chosen.
    pub fn unused(&self) -> Vec<usize> {
        (0..self.counts.len()).filter(|&code| self.counts[code] == 0.0).collect()
    }

    /// How many codes were chosen.
    pub fn used(&self) -> usize {
        self.counts.iter().filter(|&&count| count > 0.0).count()
    }

    /// e to the entropy of the choices: the number of codes, if all were chosen alike. 0 when nothing was counted.
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
