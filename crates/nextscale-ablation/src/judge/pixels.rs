//! Statistics of pixels, which any filter could change too.

use super::{Better, Judge, Judged, Measure, Rows, mean_row};
use crate::Result;
use crate::images::Images;

/// Mean, spread, contrast and gradients of pixels, on the scale of bytes, over all channels.
#[derive(Debug, Clone, Copy, Default)]
pub struct PixelJudge;

/// Mean, mean square, standard deviation, mean absolute gradient.
const WIDTH: usize = 4;

impl Judge for PixelJudge {
    fn protocol(&self) -> String {
        "pixels of the uint8 images, all channels alike".into()
    }

    fn measures(&self) -> Vec<Measure> {
        use Better::Neither;
        vec![
            Measure::new("pixel mean", Neither, "mean of all bytes"),
            Measure::new("pixel std", Neither, "standard deviation of all bytes of all images"),
            Measure::new("contrast", Neither, "standard deviation of an image's bytes, mean over images"),
            Measure::new("gradient", Neither, "mean absolute difference of neighbours, across and down"),
        ]
    }

    fn look(&self, images: &Images) -> Result<Rows> {
        let (height, width) = (images.height, images.width);
        let mut values = Vec::with_capacity(images.count() * WIDTH);
        for image in images.each() {
            let count = image.len() as f64;
            let sum: u64 = image.iter().map(|&byte| u64::from(byte)).sum();
            let squares: u64 = image.iter().map(|&byte| u64::from(byte).pow(2)).sum();
            let (mean, square) = (sum as f64 / count, squares as f64 / count);
            let line = 3 * width;
            let across =
                differences(image.chunks(line).flat_map(|line| line.iter().zip(line.iter().skip(3))));
            let down = differences(image.iter().zip(image.iter().skip(line)));
            let pairs = 3 * (height * (width - 1) + (height - 1) * width);
            let gradient = (across + down) as f64 / pairs.max(1) as f64;
            let deviation = (square - mean * mean).max(0.0).sqrt();
            values.extend([mean, square, deviation, gradient].map(|value| value as f32));
        }
        Rows::new(WIDTH, values)
    }

    fn judge(&self, _: u64, rows: &mut dyn Iterator<Item = Result<Rows>>) -> Result<Judged> {
        let row = mean_row("pixels", rows)?;
        let [mean, square, contrast, gradient] = [row[0], row[1], row[2], row[3]];
        let deviation = (square - mean * mean).max(0.0).sqrt();
        Ok(Judged { values: vec![mean, deviation, contrast, gradient], curve: Vec::new() })
    }

    fn leads(&self) -> bool {
        false
    }

    fn resamples(&self) -> usize {
        1000
    }
}

fn differences<'a>(pairs: impl Iterator<Item = (&'a u8, &'a u8)>) -> u64 {
    pairs.map(|(&a, &b)| u64::from(a.abs_diff(b))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_definition() {
        // 1 × 2 pixels: 10 and 30; then 20 and 20.
        let images = Images::new(1, 2, vec![10, 10, 10, 30, 30, 30, 20, 20, 20, 20, 20, 20]).unwrap();
        let rows = PixelJudge.look(&images).unwrap();
        assert_eq!(rows.values, [20.0, 500.0, 10.0, 20.0, 20.0, 400.0, 0.0, 0.0]);
        let judged = PixelJudge.judge(1, &mut [Ok(rows)].into_iter()).unwrap();
        assert_eq!(judged.values, [20.0, 50f64.sqrt(), 5.0, 10.0]);
    }
}
