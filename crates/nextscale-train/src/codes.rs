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

    /// Counts the tokens of all scales, which are read together.
    pub fn count<const D: usize>(&mut self, tokens: &[Tensor<D, Int>]) {
        if let Some(tokens) = joined(tokens) {
            self.add(tokens.into_data().iter::<i64>());
        }
    }

    fn add(&mut self, tokens: impl Iterator<Item = i64>) {
        for token in tokens {
            if let Some(count) = usize::try_from(token).ok().and_then(|token| self.counts.get_mut(token)) {
                *count += 1.0;
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

/// All tokens, flat; `None` if there are none.
fn joined<const D: usize>(tokens: &[Tensor<D, Int>]) -> Option<Tensor<1, Int>> {
    let flat: Vec<_> = tokens.iter().map(|tokens| tokens.clone().reshape([-1])).collect();
    (!flat.is_empty()).then(|| Tensor::cat(flat, 0))
}

/// Tokens that are to be counted and have not been read: a read makes the host wait for the device.
#[derive(Debug, Clone, Default)]
pub struct Uncounted {
    /// Flat.
    tokens: Vec<Tensor<1, Int>>,
    count: usize,
}

impl Uncounted {
    /// So many tokens are read at the latest.
    const MOST: usize = 1 << 20;

    /// Adds the tokens of all scales.
    pub fn push<const D: usize>(&mut self, tokens: &[Tensor<D, Int>]) {
        if let Some(tokens) = joined(tokens) {
            self.count += tokens.dims()[0];
            self.tokens.push(tokens);
        }
    }

    /// Whether there are so many that they must be counted.
    pub fn are_many(&self) -> bool {
        self.count >= Self::MOST
    }

    /// Counts all of them in each of `uses`, and leaves none.
    pub fn count<'a>(&mut self, uses: impl IntoIterator<Item = &'a mut CodeUse>) {
        let Self { tokens, .. } = std::mem::take(self);
        let Some(tokens) = joined(&tokens) else { return };
        let tokens = tokens.into_data();
        uses.into_iter().for_each(|codes| codes.add(tokens.iter::<i64>()));
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

    #[test]
    fn tokens_are_counted_later_as_at_once() {
        let scale = |tokens: Vec<i64>| {
            let count = tokens.len();
            Tensor::<2, Int>::from_data(TensorData::new(tokens, [1, count]), &Device::flex())
        };
        let steps = [vec![scale(vec![4]), scale(vec![0, 1, 4, 7])], vec![], vec![scale(vec![2, 2])]];
        let mut at_once = CodeUse::new(5);
        let mut later = Uncounted::default();
        for step in &steps {
            at_once.count(step);
            later.push(step);
        }
        let (mut one, mut other) = (CodeUse::new(5), CodeUse::new(5));
        later.count([&mut one, &mut other]);
        assert_eq!(at_once.counts(), [1.0, 1.0, 2.0, 0.0, 2.0]);
        assert_eq!([one.counts(), other.counts()], [at_once.counts(); 2]);
        later.count([&mut one]);
        assert_eq!(one.counts(), at_once.counts());
        assert!(!later.are_many());
        later.push(&[scale(vec![0; Uncounted::MOST])]);
        assert!(later.are_many());
    }
}
