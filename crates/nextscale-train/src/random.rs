//! Random choices as pure functions of a key, so that a resumed run makes the same choices without any saved
//! state.

use nextscale_core::random::{WEYL, splitmix64};

/// A 64-bit hash of a key of numbers (SplitMix64, chained).
pub fn hash(key: &[u64]) -> u64 {
    key.iter().fold(WEYL, |state, &word| splitmix64(state ^ word, 1))
}

/// A number in [0, 1) from a key.
pub fn uniform(key: &[u64]) -> f64 {
    (hash(key) >> 11) as f64 / (1u64 << 53) as f64
}

/// An integer below `bound` from a key; `bound` is far below 2⁶⁴, so the bias of the reduction is negligible.
pub fn below(bound: usize, key: &[u64]) -> usize {
    ((u128::from(hash(key)) * bound as u128) >> 64) as usize
}

/// A shuffle of `0..length` (Fisher–Yates) from a key.
pub fn permutation(length: usize, key: &[u64]) -> Vec<u32> {
    let key = hash(key);
    let mut order: Vec<u32> = (0..length as u32).collect();
    for last in (1..length).rev() {
        order.swap(last, below(last + 1, &[key, last as u64]));
    }
    order
}

/// The samples of every step: each epoch visits every sample once, in an order keyed by (seed, epoch), and
/// batches continue across the ends of epochs.
#[derive(Debug)]
pub struct Order {
    seed: u64,
    length: usize,
    epoch: u64,
    permutation: Vec<u32>,
}

impl Order {
    /// An order over `length` ≥ 1 samples.
    pub fn new(length: usize, seed: u64) -> Self {
        Self { seed, length, epoch: 0, permutation: permutation(length, &[seed, 0]) }
    }

    /// The `batch` samples of `step`, each with the epoch that it belongs to.
    pub fn batch(&mut self, step: u64, batch: usize) -> Vec<(usize, u64)> {
        (0..batch as u64)
            .map(|i| {
                // Steps and batches may both be so large that their product leaves 64 bits.
                let position = u128::from(step) * batch as u128 + u128::from(i);
                let epoch = (position / self.length as u128) as u64;
                if epoch != self.epoch {
                    self.epoch = epoch;
                    self.permutation = permutation(self.length, &[self.seed, epoch]);
                }
                (self.permutation[(position % self.length as u128) as usize] as usize, epoch)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_visits_every_sample_once_and_epochs_differ() {
        let mut order = Order::new(10, 7);
        let first: Vec<usize> = (0..5).flat_map(|step| order.batch(step, 2)).map(|(i, _)| i).collect();
        let second: Vec<usize> = (5..10).flat_map(|step| order.batch(step, 2)).map(|(i, _)| i).collect();
        let sorted = |mut list: Vec<usize>| {
            list.sort_unstable();
            list
        };
        assert_eq!(sorted(first.clone()), (0..10).collect::<Vec<_>>());
        assert_eq!(sorted(second.clone()), (0..10).collect::<Vec<_>>());
        assert_ne!(first, second);
    }

    #[test]
    fn a_batch_does_not_depend_on_the_batches_before_it() {
        let mut straight = Order::new(7, 1);
        for step in 0..9 {
            straight.batch(step, 3);
        }
        assert_eq!(straight.batch(9, 3), Order::new(7, 1).batch(9, 3));
    }

    #[test]
    fn uniforms_fill_the_unit_interval_evenly() {
        let mean = (0..4000).map(|i| uniform(&[3, i])).sum::<f64>() / 4000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert!((0..4000).all(|i| below(3, &[i]) < 3));
    }
}
