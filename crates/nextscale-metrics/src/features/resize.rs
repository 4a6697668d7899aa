use serde::{Deserialize, Serialize};

/// How images are brought to a network's size: bilinear, with one of three habits. The arithmetic is f32 on the host, columns
/// first and rows second, with no rounding to 8 bits, so it is the same on every machine and device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resize {
    /// Pixel centres at halves; where an axis shrinks the triangle widens with it. As Pillow's `BILINEAR` and PyTorch's
    /// `interpolate(mode="bilinear", antialias=True)`.
    Antialiased,
    /// Pixel centres at halves, two pixels an axis whatever the scale. As PyTorch's `interpolate(mode="bilinear",
    /// align_corners=False)`.
    HalfPixel,
    /// Output i lies at i·(from/to), two pixels an axis: the image shifts up and left. As TensorFlow 1's `resize_bilinear`
    /// with its default settings.
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

    /// What every output along an axis is made of.
    fn taps(self, from: usize, to: usize) -> Vec<Taps> {
        (0..to)
            .map(|i| match self {
                Self::Antialiased => triangle(i, from, to),
                // Coordinates in f32, as the two frameworks reckon them.
                Self::HalfPixel => {
                    let scale = from as f32 / to as f32;
                    between(((i as f32 + 0.5) * scale - 0.5).max(0.0), from)
                }
                Self::TfBilinear => between(i as f32 * (from as f32 / to as f32), from),
            })
            .collect()
    }
}

/// A run of pixels and their weights, which add up to 1.
#[derive(Debug, Clone, PartialEq)]
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

/// The two pixels beside a coordinate.
fn between(at: f32, extent: usize) -> Taps {
    let first = (at as usize).min(extent - 1);
    let fraction = at - first as f32;
    if first + 1 < extent {
        Taps { first, weights: vec![1.0 - fraction, fraction] }
    } else {
        Taps { first, weights: vec![1.0] }
    }
}

/// The pixels under a triangle that reaches one pixel, or one output where outputs are further apart, to either side.
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

    /// One image `[height, width, 3]` of bytes to one of `value(x)`, x in 0 ..= 255, `[height', width', 3]`, appended.
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
