//! Images and weights by formula, for tests: the reference implementations used the same.

use std::path::Path;

use nextscale_core::random::{fnv1a, splitmix64};
use nextscale_weights::WeightFile;

use crate::ImageBatch;

/// Gradients with hashed noise: image `index`, `[height, width, 3]`.
fn image(index: u32, height: u32, width: u32) -> Vec<u8> {
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for c in 0..3 {
                let mut z = ((y * width + x) * 3 + c + index * 1_000_003).wrapping_mul(2_654_435_761);
                z ^= z >> 15;
                z = z.wrapping_mul(2_246_822_519);
                z ^= z >> 13;
                let across = x * (5 + index) * 8 / width * (c + 1) * 9;
                let down = y * (3 + 2 * index) * 8 / height * (3 - c) * 7;
                pixels.push(((across + down) % 192 + z % 64) as u8);
            }
        }
    }
    pixels
}

/// Images 0 to `count`.
pub fn images(count: u32, height: u32, width: u32) -> ImageBatch {
    let pixels = (0..count).flat_map(|index| image(index, height, width)).collect();
    ImageBatch::new(height as usize, width as usize, pixels).unwrap()
}

/// A recorded file.
pub fn fixture(name: &str) -> WeightFile {
    WeightFile::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/features").join(name))
        .unwrap()
}

/// Numbers in [-1, 1) from a name: SplitMix64, seeded with the name's FNV-1a hash.
pub fn numbers(name: &str) -> impl Iterator<Item = f64> {
    let seed = fnv1a(name);
    (1..).map(move |place| (splitmix64(seed, place) >> 40) as f64 / 8_388_608.0 - 1.0)
}

/// Weights that keep activations near 1 through a deep network with torchvision's names.
pub fn weights(name: &str, shape: &[usize]) -> Vec<f32> {
    let count: usize = shape.iter().product();
    let fan_in: usize = shape[1..].iter().product();
    let value = |u: f64| match name {
        _ if name.ends_with("conv.weight") => u * (6.0 / fan_in as f64).sqrt(),
        _ if name.ends_with("bn.weight") => 1.0 + u / 4.0,
        _ if name.ends_with("running_var") => 1.0 + u / 2.0,
        "fc.weight" => u / 32.0,
        _ => u / 8.0,
    };
    numbers(name).take(count).map(|u| value(u) as f32).collect()
}

/// The largest difference.
pub fn worst(got: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(got.len(), expected.len());
    got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}
