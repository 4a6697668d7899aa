//! Numbers to test with.

use burn::tensor::TensorData;
use nextscale_core::random::{WEYL, mix};

/// f32 numbers from `centre` − `spread` to `centre` + `spread`, the same for a seed.
pub fn random(shape: &[usize], seed: u64, spread: f64, centre: f64) -> TensorData {
    // A small counter-based generator: burn's own would tie the cases to its versions.
    let count = shape.iter().product::<usize>() as u64;
    let values: Vec<f32> = (0..count)
        .map(|i| {
            let z = mix((i + 1).wrapping_mul(WEYL) ^ seed.wrapping_mul(0xD1B5_4A32_D192_ED03));
            let unit = (z >> 40) as f64 / (1u64 << 24) as f64;
            (centre + spread * (2.0 * unit - 1.0)) as f32
        })
        .collect();
    TensorData::new(values, shape.to_vec())
}
