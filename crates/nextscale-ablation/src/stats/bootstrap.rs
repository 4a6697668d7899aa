//! Resampling of images with replacement.

use nextscale_core::noise::philox;

/// A seeded source of resamplings, the same for every cell, so that images stay paired.
#[derive(Debug, Clone, Copy)]
pub struct Draws {
    seed: u64,
}

impl Draws {
    /// The source of a seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// How often each of `images` images of group `group` (such as a seed) is drawn in resampling `round`;
    /// the counts sum to their number.
    pub fn weights(&self, round: u32, group: u32, images: usize) -> Vec<u32> {
        let mut weights = vec![0; images];
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        for block in 0..images.div_ceil(4) {
            let words = philox([block as u32, round, group, 0x626f_6f74], key);
            for word in words.iter().take(images - 4 * block) {
                // The high word of a 32 × 32 bit product is uniform up to one part in 2^32 / images.
                weights[((u64::from(*word) * images as u64) >> 32) as usize] += 1;
            }
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_drawn_as_there_are() {
        for images in [1, 2, 7, 400] {
            let weights = Draws::new(3).weights(5, 1, images);
            assert_eq!(weights.iter().sum::<u32>() as usize, images);
        }
        assert_eq!(Draws::new(3).weights(5, 1, 9), Draws::new(3).weights(5, 1, 9));
        assert_ne!(Draws::new(3).weights(5, 1, 40), Draws::new(3).weights(6, 1, 40));
        assert_ne!(Draws::new(3).weights(5, 1, 40), Draws::new(3).weights(5, 2, 40));
        assert_ne!(Draws::new(3).weights(5, 1, 40), Draws::new(4).weights(5, 1, 40));
    }

    #[test]
    fn resampled_means_have_the_spread_of_the_mean() {
        // 0 … 99: the standard error of the mean is sqrt(833.25 / 100).
        let means: Vec<f64> = (0..2000)
            .map(|round| {
                let weights = Draws::new(1).weights(round, 0, 100);
                weights.iter().enumerate().map(|(i, &w)| i as f64 * f64::from(w)).sum::<f64>() / 100.0
            })
            .collect();
        let mean = means.iter().sum::<f64>() / 2000.0;
        let spread = (means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / 2000.0).sqrt();
        assert!((mean - 49.5).abs() < 0.3, "{mean}");
        assert!((spread - 8.3325f64.sqrt()).abs() < 0.15, "{spread}");
    }
}
