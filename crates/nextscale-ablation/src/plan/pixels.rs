//! Controls on finished images.

use nextscale_config::Node;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::images::Images;

/// A change to finished images: controls that separate the effect of guidance from that of any filter.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum Pixels {
    /// No change.
    #[default]
    AsTheyAre,
    /// Unsharp masking: x + amount·(x − blur(x)), the blur a Gaussian of one pixel's standard deviation.
    Unsharp(f32),
    /// Contrast about each image's and channel's mean: mean + factor·(x − mean).
    Contrast(f32),
}

impl Pixels {
    /// Reads a variant's `pixels`.
    ///
    /// # Errors
    /// An unknown name, or an amount that is not finite.
    pub fn read(node: Option<&Node>) -> Result<Self> {
        let Some(node) = node else { return Ok(Self::default()) };
        let pixels: Self = node.decode()?;
        match pixels {
            Self::Unsharp(x) | Self::Contrast(x) if !x.is_finite() => {
                Err(node.error("expected a finite amount").into())
            }
            _ => Ok(pixels),
        }
    }

    /// The changed images, rounded to the nearest byte.
    pub fn apply(self, mut images: Images) -> Images {
        let (height, width) = (images.height, images.width);
        for image in images.pixels.chunks_mut(3 * height * width) {
            match self {
                Self::AsTheyAre => return images,
                Self::Unsharp(amount) => {
                    let blurred = blur(image, height, width);
                    for (byte, blurred) in image.iter_mut().zip(blurred) {
                        let value = f32::from(*byte);
                        *byte = to_byte(value + amount * (value - blurred));
                    }
                }
                Self::Contrast(factor) => {
                    for channel in 0..3 {
                        let values = image.iter().skip(channel).step_by(3);
                        let sum: u64 = values.map(|&byte| u64::from(byte)).sum();
                        let mean = sum as f32 / (height * width) as f32;
                        for byte in image.iter_mut().skip(channel).step_by(3) {
                            *byte = to_byte(mean + factor * (f32::from(*byte) - mean));
                        }
                    }
                }
            }
        }
        images
    }
}

impl std::fmt::Display for Pixels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AsTheyAre => f.write_str("as they are"),
            Self::Unsharp(amount) => write!(f, "Unsharp({amount})"),
            Self::Contrast(factor) => write!(f, "Contrast({factor})"),
        }
    }
}

fn to_byte(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// A Gaussian of standard deviation one over seven pixels, with repeated borders, on `[height, width, 3]`.
fn blur(image: &[u8], height: usize, width: usize) -> Vec<f32> {
    const REACH: usize = 3;
    let weights: Vec<f32> =
        (0..=2 * REACH).map(|i| (-0.5 * (i as f32 - REACH as f32).powi(2)).exp()).collect();
    let total: f32 = weights.iter().sum();
    let weight = |i: usize| weights[i] / total;
    let near = |at: usize, i: usize, n: usize| (at + i).saturating_sub(REACH).min(n - 1);
    let mut rows = vec![0.0; image.len()];
    for y in 0..height {
        for x in 0..width {
            for c in 0..3 {
                let value = |i| f32::from(image[(y * width + near(x, i, width)) * 3 + c]);
                rows[(y * width + x) * 3 + c] = (0..=2 * REACH).map(|i| weight(i) * value(i)).sum();
            }
        }
    }
    let mut both = vec![0.0; image.len()];
    for y in 0..height {
        for x in 0..width {
            for c in 0..3 {
                let value = |i| rows[(near(y, i, height) * width + x) * 3 + c];
                both[(y * width + x) * 3 + c] = (0..=2 * REACH).map(|i| weight(i) * value(i)).sum();
            }
        }
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;
    use nextscale_config::Document;

    fn edge() -> Images {
        let pixels = (0..8 * 8).flat_map(|i| [if i % 8 < 4 { 100 } else { 150 }; 3]).collect();
        Images::new(8, 8, pixels).unwrap()
    }

    #[test]
    fn unsharp_overshoots_at_an_edge_and_leaves_flat_parts() {
        let sharp = Pixels::Unsharp(1.0).apply(edge());
        let row: Vec<u8> = sharp.pixels[..24].iter().copied().step_by(3).collect();
        assert_eq!((row[0], row[7]), (100, 150));
        assert!(row[3] < 90 && row[4] > 160, "{row:?}");
        assert_eq!(Pixels::Unsharp(0.0).apply(edge()), edge());
    }

    #[test]
    fn contrast_stretches_about_the_mean() {
        let image = Pixels::Contrast(2.0).apply(edge());
        assert_eq!((image.pixels[0], image.pixels[12]), (75, 175));
    }

    #[test]
    fn names_are_read_and_wrong_ones_refused() {
        let read = |text: &str| Pixels::read(Some(&Document::parse("a.ron", text).unwrap()));
        assert_eq!(read("Unsharp(0.5)").unwrap(), Pixels::Unsharp(0.5));
        assert!(read("Unsharp(inf)").is_err() && read("Sharpen(1)").is_err());
        assert_eq!(Pixels::read(None).unwrap(), Pixels::AsTheyAre);
    }
}
