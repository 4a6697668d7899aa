//! The radially averaged spectral amplitude relative to that of real images.

use std::sync::Arc;

use rustdct::rustfft::num_complex::Complex;
use rustdct::rustfft::{Fft, FftPlanner};
use serde::{Deserialize, Serialize};

use nextscale_metrics::source::ImageSource;

use super::{Better, Judge, Judged, Measure, RowSum, Rows, mean_row};
use crate::images::{Images, read};
use crate::{Error, Result};

/// The mean amplitude of a set of images in every ring.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spectrum {
    /// The name of the images.
    pub of: String,
    /// The number of averaged images.
    pub images: u64,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Ring r, from 1, holds the frequencies within half a cycle per shorter side of r; up to Nyquist.
    pub amplitude: Vec<f64>,
}

impl Spectrum {
    /// Averages the images of a folder, an `.npz` file or a run, some at a time; its name includes the hash
    /// of their content.
    ///
    /// # Errors
    /// If one cannot be read, or they are too small to have frequencies.
    pub fn of(source: &ImageSource) -> Result<Self> {
        let mut sum = RowSum::default();
        let name = read(source, |images| {
            sum.add(&amplitudes(&images)?);
            Ok(())
        })?;
        let [height, width] = source.size();
        let amplitude = sum.mean(&name)?;
        Ok(Self { of: name, images: source.count(), height, width, amplitude })
    }
}

/// Compares the spectra of images with a reference's.
#[derive(Debug, Clone)]
pub struct SpectrumJudge {
    reference: Spectrum,
}

impl SpectrumJudge {
    /// A judge with this reference.
    ///
    /// # Errors
    /// If the reference has a ring without amplitude.
    pub fn new(reference: Spectrum) -> Result<Self> {
        if reference.amplitude.is_empty() || reference.amplitude.iter().any(|&a| !(a > 0.0 && a.is_finite()))
        {
            return Err(Error::measure("spectrum", format!("{} has no spectrum to divide by", reference.of)));
        }
        Ok(Self { reference })
    }
}

impl Judge for SpectrumJudge {
    fn protocol(&self) -> String {
        let Spectrum { of, images, height, width, .. } = &self.reference;
        format!(
            "radially averaged amplitude of luma, over that of {of} ({images} images, {width} × {height})"
        )
    }

    fn measures(&self) -> Vec<Measure> {
        use Better::{Lower, Neither};
        let ratio =
            |third| format!("amplitude over the reference's, mean over the {third} third of the frequencies");
        vec![
            Measure::new("spectrum low", Neither, ratio("lowest")),
            Measure::new("spectrum mid", Neither, ratio("middle")),
            Measure::new("spectrum high", Neither, ratio("highest")),
            Measure::new(
                "spectrum error",
                Lower,
                "mean over frequencies of |ln(amplitude / the reference's)|",
            ),
        ]
    }

    fn look(&self, images: &Images) -> Result<Rows> {
        let Spectrum { of, height, width, .. } = &self.reference;
        if (images.height, images.width) != (*height, *width) {
            let message = format!(
                "the images are {} × {} and {of} is {width} × {height}; give a reference of their size",
                images.width, images.height
            );
            return Err(Error::measure("spectrum", message));
        }
        amplitudes(images)
    }

    fn judge(&self, _: u64, rows: &mut dyn Iterator<Item = Result<Rows>>) -> Result<Judged> {
        let row = mean_row("spectrum", rows)?;
        let ratios: Vec<f64> = row.iter().zip(&self.reference.amplitude).map(|(a, b)| a / b).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let bounds = [0, 1, 2, 3].map(|i| ratios.len() * i / 3);
        let thirds = [0, 1, 2].map(|i| mean(&ratios[bounds[i]..bounds[i + 1]]));
        // A ring without any amplitude counts as very far off, but not infinitely.
        let error = mean(&ratios.iter().map(|ratio| ratio.max(1e-6).ln().abs()).collect::<Vec<_>>());
        let side = self.reference.height.min(self.reference.width) as f64;
        let curve = ratios.iter().enumerate().map(|(i, &ratio)| ((i + 1) as f64 / side, ratio)).collect();
        Ok(Judged { values: thirds.into_iter().chain([error]).collect(), curve })
    }

    fn leads(&self) -> bool {
        false
    }

    fn resamples(&self) -> usize {
        1000
    }

    fn curve(&self) -> Option<[&'static str; 3]> {
        Some(["Spectral amplitude over the reference's", "cycles a pixel", "ratio"])
    }
}

/// The mean of |F|/(h·w) of luma in [0, 1] in every ring, image by image.
fn amplitudes(images: &Images) -> Result<Rows> {
    let (height, width) = (images.height, images.width);
    let rings = height.min(width) / 2;
    if rings == 0 {
        return Err(Error::measure("spectrum", format!("images of {width} × {height} have no frequencies")));
    }
    let mut planner = FftPlanner::<f32>::new();
    let (across, down) = (planner.plan_fft_forward(width), planner.plan_fft_forward(height));
    let ring = rings_of(height, width, rings);
    let mut values = Vec::with_capacity(images.count() * rings);
    for image in images.each() {
        let luma = |pixel: &[u8]| {
            0.299 * f32::from(pixel[0]) + 0.587 * f32::from(pixel[1]) + 0.114 * f32::from(pixel[2])
        };
        let mut plane: Vec<Complex<f32>> =
            image.chunks(3).map(|pixel| Complex::new(luma(pixel) / 255.0, 0.0)).collect();
        transform(&mut plane, (height, width), &across, &down);
        let mut sums = vec![(0.0f64, 0u32); rings];
        for (value, ring) in plane.iter().zip(&ring) {
            if let Some((sum, count)) = ring.and_then(|ring| sums.get_mut(ring)) {
                *sum += f64::from(value.norm());
                *count += 1;
            }
        }
        let area = (height * width) as f64;
        values.extend(sums.iter().map(|&(sum, count)| (sum / f64::from(count.max(1)) / area) as f32));
    }
    Rows::new(rings, values)
}

/// The ring of every coefficient, from 0; `None` for the mean and the corners beyond Nyquist.
fn rings_of(height: usize, width: usize, rings: usize) -> Vec<Option<usize>> {
    let side = height.min(width) as f64;
    let frequency = |i: usize, n: usize| i.min(n - i) as f64 / n as f64 * side;
    (0..height * width)
        .map(|i| {
            let radius = frequency(i / width, height).hypot(frequency(i % width, width)).round() as usize;
            radius.checked_sub(1).filter(|&ring| ring < rings)
        })
        .collect()
}

fn transform(
    plane: &mut [Complex<f32>],
    (height, width): (usize, usize),
    across: &Arc<dyn Fft<f32>>,
    down: &Arc<dyn Fft<f32>>,
) {
    across.process(plane);
    let mut column = vec![Complex::default(); height];
    for x in 0..width {
        column.iter_mut().enumerate().for_each(|(y, value)| *value = plane[y * width + x]);
        down.process(&mut column);
        column.iter().enumerate().for_each(|(y, value)| plane[y * width + x] = *value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grey cosine with this many cycles across and down.
    fn wave(height: usize, width: usize, (down, across): (usize, usize), amplitude: f64) -> Images {
        let pixels = (0..height * width).flat_map(|i| {
            let phase =
                (i / width * down) as f64 / height as f64 + (i % width * across) as f64 / width as f64;
            [(127.5 + amplitude * (std::f64::consts::TAU * phase).cos()).round() as u8; 3]
        });
        Images::new(height, width, pixels.collect()).unwrap()
    }

    #[test]
    fn a_wave_stands_in_its_ring_with_its_amplitude() {
        let rows = amplitudes(&wave(16, 16, (3, 4), 100.0)).unwrap();
        assert_eq!(rows.width, 8);
        let members = rings_of(16, 16, 8).iter().filter(|ring| **ring == Some(4)).count() as f32;
        for (ring, &value) in rows.values.iter().enumerate() {
            // A cosine of amplitude A has two coefficients of A/2.
            let expected = if ring == 4 { 100.0 / 255.0 / members } else { 0.0 };
            assert!((value - expected).abs() < 1e-3, "ring {}: {value}, not {expected}", ring + 1);
        }
    }

    #[test]
    fn the_longer_side_counts_in_cycles_of_the_shorter() {
        let rows = amplitudes(&wave(8, 16, (0, 4), 100.0)).unwrap();
        let peak = rows.values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        assert_eq!((rows.width, peak + 1), (4, 2));
    }

    #[test]
    fn ratios_are_to_the_reference() {
        let noise = |scale: u32| {
            let value = |i: u32| 128 + (i.wrapping_mul(2_654_435_761) >> 24) as i32 % 32 * scale as i32;
            Images::new(12, 12, (0..432).map(|i| value(i / 3) as u8).collect()).unwrap()
        };
        let folder = tempfile::tempdir().unwrap();
        noise(1).picture(0).unwrap().save(folder.path().join("0.png")).unwrap();
        let reference = Spectrum::of(&ImageSource::open(folder.path()).unwrap()).unwrap();
        assert_eq!((reference.images, reference.height, reference.width), (1, 12, 12));
        let judge = SpectrumJudge::new(reference).unwrap();
        let judged = judge.judge(1, &mut [judge.look(&noise(2))].into_iter()).unwrap();
        for value in &judged.values[..3] {
            assert!((value - 2.0).abs() < 1e-4, "{judged:?}");
        }
        assert!((judged.values[3] - 2f64.ln()).abs() < 1e-4);
        assert_eq!(judged.curve.len(), 6);
        assert_eq!(judged.curve[5].0, 0.5);
        assert!(judge.look(&wave(8, 8, (1, 1), 1.0)).is_err());
    }
}
