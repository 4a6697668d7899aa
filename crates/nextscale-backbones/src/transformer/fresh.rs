//! Fresh weights.

use nextscale_core::random::{fnv1a, splitmix64};
use rayon::prelude::*;

/// The initial weights of upstream's training recipe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Initialisation {
    /// Determines every weight; the same on all devices.
    pub seed: u64,
    /// The factor for the rows of AdaLN weights that produce gates: nearly closed gates make a deep model
    /// start as the identity. Upstream uses 1e-3 at depths 16 and 20, down to 5e-6 at 36.
    pub gate: f64,
}

impl Default for Initialisation {
    fn default() -> Self {
        Self { seed: 0, gate: 1e-3 }
    }
}

/// Normal numbers for a parameter. Upstream truncates at ±2, which has no effect at these standard
/// deviations.
pub(crate) fn normal(seed: u64, key: &str, count: usize, deviation: f64) -> Vec<f32> {
    let stream = hash(fnv1a(key) ^ hash(seed));
    let mut values = vec![0.0; count];
    const PIECE: usize = 1 << 14;
    values.par_chunks_mut(PIECE).enumerate().for_each(|(piece, values)| {
        for (pair, values) in values.chunks_mut(2).enumerate() {
            // Box and Muller: two normal numbers from two uniform ones.
            let bits = hash(stream.wrapping_add((piece * PIECE / 2 + pair) as u64));
            let radius = (-2.0 * (((bits >> 32) as f64 + 1.0) / 4_294_967_296.0).ln()).sqrt() * deviation;
            let angle = std::f64::consts::TAU * ((bits & 0xffff_ffff) as f64 / 4_294_967_296.0);
            let (sine, cosine) = angle.sin_cos();
            values[0] = (radius * cosine) as f32;
            if let Some(second) = values.get_mut(1) {
                *second = (radius * sine) as f32;
            }
        }
    });
    values
}

/// A well-mixed function of a counter.
fn hash(counter: u64) -> u64 {
    splitmix64(0, counter.wrapping_add(1))
}
