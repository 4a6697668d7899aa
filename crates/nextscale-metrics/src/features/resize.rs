use nextscale_core::resample::{half_pixel_f32, neighbours};
use serde::{Deserialize, Serialize};

/// How images are resized for a network: bilinear, in one of three conventions. The arithmetic is f32 on the
/// host, columns first and rows second, without rounding to 8 bits, so it is the same on every machine and
/// device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resize {
    /// Half-pixel centres; when an axis shrinks, the triangle widens with it. As in Pillow's `BILINEAR` and
    /// PyTorch's `interpolate(mode="bilinear", antialias=True)`.
    Antialiased,
    /// Half-pixel centres, two pixels per axis whatever the scale. As in PyTorch's
    /// `interpolate(mode="bilinear", align_corners=False)`.
    HalfPixel,
    /// Output i is at i·(from/to), two pixels per axis: the image shifts up and left. As in TensorFlow 1's
    /// `resize_bilinear` with its default settings.
    TfBilinear,
}

impl Resize {
    /// In words, for protocols.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Antialiased => "bilinear (half-pixel centres, antialiased)",
            Self::HalfPixel => "bilinear (half-pixel centres, no antialias)",
            Self::TfBilinear => "bilinear (TensorFlow 1)",
        }
    }

    /// The inputs of every output along an axis.
    fn taps(self, from: usize, to: usize) -> Vec<Taps> {
        (0..to)
            .map(|i| match self {
                Self::Antialiased => triangle(i, from, to),
                // Coordinates in f32, as in the two frameworks.
                Self::HalfPixel => between(half_pixel_f32(i, from, to), from),
                Self::TfBilinear => between(i as f32 * (from as f32 / to as f32), from),
            })
            .collect()
    }
}

/// Consecutive pixels and their weights, which sum to 1.
#[derive(Debug, Clone, PartialEq)]
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// The two pixels beside a coordinate.
fn between(at: f32, extent: usize) -> Taps {
    let near = neighbours(at.into(), extent);
    let (first, fraction) = (near.first, near.weight as f32);
    let weights = if near.second > first { vec![1.0 - fraction, fraction] } else { vec![1.0] };
    Taps { first, weights }
}

/// An average rather than an interpolation, so not in [`nextscale_core::resample`]: the pixels under a
/// triangle that reaches one pixel, or one output if outputs are further apart, to either side.
fn triangle(i: usize, from: usize, to: usize) -> Taps {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    let centre = (i as f64 + 0.5) * scale;
    let first = (centre - reach + 0.5).max(0.0) as usize;
    let last = ((centre + reach + 0.5) as usize).min(from).max(first + 1);
    let raw: Vec<f64> =
        (first..last).map(|p| (1.0 - ((p as f64 + 0.5 - centre) / reach).abs()).max(0.0)).collect();
    let total: f64 = raw.iter().sum();
    Taps { first, weights: raw.iter().map(|w| (w / total) as f32).collect() }
}

/// Resizes images of one size to another.
#[derive(Debug, Clone)]
pub struct Resizer {
    rows: Vec<Taps>,
    columns: Vec<Taps>,
    width: usize,
    same: bool,
}

impl Resizer {
    /// From `[height, width]` to `[height, width]`, none of them 0.
    pub fn new(resize: Resize, from: [usize; 2], to: [usize; 2]) -> Self {
        Self {
            rows: resize.taps(from[0], to[0]),
            columns: resize.taps(from[1], to[1]),
            width: from[1],
            same: from == to,
        }
    }

    /// One image `[height, width, 3]` of bytes to `value(x)`, x in 0 ..= 255, as `[height', width', 3]`,
    /// appended.
    pub fn append(&self, image: &[u8], out: &mut Vec<f32>, value: impl Fn(f32) -> f32) {
        if self.same {
            out.extend(image.iter().map(|&byte| value(byte as f32)));
            return;
        }
        let line = self.columns.len() * 3;
        let mut narrow = Vec::with_capacity(image.len() / (self.width * 3) * line);
        for row in image.chunks_exact(self.width * 3) {
            for taps in &self.columns {
                let mut pixel = [0.0f32; 3];
                for (weight, bytes) in taps.weights.iter().zip(row[taps.first * 3..].chunks_exact(3)) {
                    for (sum, &byte) in pixel.iter_mut().zip(bytes) {
                        *sum += weight * byte as f32;
                    }
                }
                narrow.extend(pixel);
            }
        }
        let mut sums = vec![0.0f32; line];
        for taps in &self.rows {
            sums.fill(0.0);
            for (&weight, row) in taps.weights.iter().zip(narrow[taps.first * line..].chunks_exact(line)) {
                sums.iter_mut().zip(row).for_each(|(sum, &v)| *sum += weight * v);
            }
            out.extend(sums.iter().map(|&v| value(v)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use nextscale_weights::WeightFile;

    use super::*;

    fn image(height: usize, width: usize) -> Vec<u8> {
        let byte = |y: usize, x: usize, c: usize| (y * 37 + x * 91 + c * 53) ^ (x * y * 7);
        (0..height * width * 3).map(|i| byte(i / 3 / width, i / 3 % width, i % 3) as u8).collect()
    }

    fn resized(resize: Resize, from: [usize; 2], to: [usize; 2], image: &[u8]) -> Vec<f32> {
        let mut out = Vec::new();
        Resizer::new(resize, from, to).append(image, &mut out, |x| x);
        out
    }

    /// `tests/fixtures/features/resize.safetensors` holds, of n ≥ 1000 numbers, every 1 + ⌊2n/1000⌋-th,
    /// otherwise all: from PyTorch 2.15.0's `interpolate`, Pillow 13.0.0's `resize` of images in mode F, and
    /// torch-fidelity 0.4.0's TensorFlow resize.
    #[test]
    fn equals_the_reference_implementations() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/features");
        let fixture = WeightFile::open(folder.join("resize.safetensors")).unwrap();
        let sizes = [
            ([7, 9], [20, 4]),
            ([32, 32], [96, 96]),
            ([131, 150], [96, 96]),
            ([32, 32], [299, 299]),
            ([400, 310], [299, 299]),
        ];
        // On a scale of 255. PyTorch computes antialiasing coordinates in f32, Pillow in f64 as here.
        let kinds = [
            ("pillow", Resize::Antialiased, 1e-4),
            ("antialiased", Resize::Antialiased, 4e-3),
            ("half_pixel", Resize::HalfPixel, 1e-4),
            ("tensorflow", Resize::TfBilinear, 1e-4),
        ];
        for (kind, resize, tolerance) in kinds {
            for (from, to) in sizes {
                let name = format!("{kind}.{}x{}.{}x{}", from[0], from[1], to[0], to[1]);
                let (expected, _) = fixture.values(&name).unwrap();
                let got = resized(resize, from, to, &image(from[0], from[1]));
                let step = if got.len() < 1000 { 1 } else { 2 * got.len() / 1000 + 1 };
                let got: Vec<f32> = got.into_iter().step_by(step).collect();
                assert_eq!(got.len(), expected.len(), "{name}");
                let worst = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
                println!("{name}: {worst:e}");
                assert!(worst <= tolerance, "{name}: off by {worst:e}");
            }
        }
    }

    #[test]
    fn every_habit_keeps_constants_and_the_same_size() {
        for resize in [Resize::Antialiased, Resize::HalfPixel, Resize::TfBilinear] {
            for (from, to) in [([1, 1], [7, 3]), ([5, 300], [96, 96]), ([640, 3], [1, 2])] {
                let out = resized(resize, from, to, &vec![200; from[0] * from[1] * 3]);
                assert_eq!(out.len(), to[0] * to[1] * 3);
                assert!(out.iter().all(|v| (v - 200.0).abs() < 1e-4), "{resize:?} from {from:?} to {to:?}");
            }
            let same = image(6, 5);
            let out = resized(resize, [6, 5], [6, 5], &same);
            assert!(out.iter().zip(&same).all(|(a, &b)| *a == b as f32));
        }
    }
}
