//! Numbers to test with.

use burn::tensor::TensorData;

/// f32 numbers from `centre` − `spread` to `centre` + `spread`, the same for a seed.
pub fn random(shape: &[usize], seed: u64, spread: f64, centre: f64) -> TensorData {
    // A small counter-based generator: burn's own would tie the cases to its versions.
    let count = shape.iter().product::<usize>() as u64;
    let values: Vec<f32> = (0..count)
        .map(|i| {
            let mut z =
                (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed.wrapping_mul(0xD1B5_4A32_D192_ED03);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            let unit = ((z ^ (z >> 31)) >> 40) as f64 / (1u64 << 24) as f64;
            (centre + spread * (2.0 * unit - 1.0)) as f32
        })
        .collect();
    TensorData::new(values, shape.to_vec())
}
