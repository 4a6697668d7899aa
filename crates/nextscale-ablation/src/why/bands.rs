//! Energies in radially binned bands of the DCT.

use std::f64::consts::PI;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::Grid;
use rustdct::{DctPlanner, TransformType2And3};
use serde::{Deserialize, Serialize};

/// The energy of maps in every band: band r holds the DCT coefficients (u, v) at the rounded distance r from
/// (0, 0), with v in units of the vertical index. The sum over bands is the sum of squares of the map
/// (Parseval).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Bands(pub Vec<f64>);

impl Bands {
    /// Adds others, band by band.
    pub fn add(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0.0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(sum, value)| *sum += value);
    }

    /// Divides every band.
    pub fn over(&self, count: f64) -> Self {
        Self(self.0.iter().map(|value| value / count).collect())
    }
}

/// The two-dimensional orthonormal DCT-II on one grid, and its bands.
pub struct BandPass {
    grid: Grid,
    across: Arc<dyn TransformType2And3<f32>>,
    down: Arc<dyn TransformType2And3<f32>>,
    band: Vec<usize>,
}

impl BandPass {
    /// On a grid.
    pub fn new(grid: Grid) -> Self {
        let mut planner = DctPlanner::new();
        let (across, down) = (planner.plan_dct2(grid.width), planner.plan_dct2(grid.height));
        let ratio = grid.height as f64 / grid.width as f64;
        let distance = |i: usize| ((i / grid.width) as f64).hypot((i % grid.width) as f64 * ratio);
        let band = (0..grid.positions()).map(|i| distance(i).round() as usize).collect();
        Self { grid, across, down, band }
    }

    /// The energies of one image's map `[h·w, channels]`, summed over channels.
    pub fn energies(&self, map: &[f32], channels: usize) -> Bands {
        let Grid { height, width } = self.grid;
        let mut bands = Bands(vec![0.0; self.band.iter().max().map_or(0, |last| last + 1)]);
        let mut plane = vec![0.0f32; height * width];
        let mut column = vec![0.0f32; height];
        for channel in 0..channels {
            plane.iter_mut().enumerate().for_each(|(i, value)| *value = map[i * channels + channel]);
            for row in plane.chunks_mut(width) {
                self.across.process_dct2(row);
            }
            for x in 0..width {
                column.iter_mut().enumerate().for_each(|(y, value)| *value = plane[y * width + x]);
                self.down.process_dct2(&mut column);
                column.iter().enumerate().for_each(|(y, value)| plane[y * width + x] = *value);
            }
            for (i, &value) in plane.iter().enumerate() {
                // rustdct's transform is sqrt(n/2) times the orthonormal one, and sqrt(n) at index 0.
                let norm = |index: usize, n: usize| if index == 0 { 1.0 / n as f64 } else { 2.0 / n as f64 };
                let scale = norm(i / width, height) * norm(i % width, width);
                bands.0[self.band[i]] += f64::from(value).powi(2) * scale;
            }
        }
        bands
    }

    /// The transform of a map as a matrix `[h·w, h·w]` on a device: coefficients from positions.
    pub fn transform(&self, device: &Device) -> Tensor<2> {
        let Grid { height, width } = self.grid;
        let wave = |at: usize, index: usize, n: usize| {
            let norm = if index == 0 { 1.0 / n as f64 } else { 2.0 / n as f64 };
            norm.sqrt() * (PI * (at as f64 + 0.5) * index as f64 / n as f64).cos()
        };
        let count = height * width;
        let number = |i: usize| {
            let (coefficient, position) = (i / count, i % count);
            let down = wave(position / width, coefficient / width, height);
            (down * wave(position % width, coefficient % width, width)) as f32
        };
        let matrix: Vec<f32> = (0..count * count).map(number).collect();
        Tensor::from_data(TensorData::new(matrix, [count, count]), device)
    }

    /// The energies of a map whose coefficients have these squares, summed over channels, in the order of the
    /// grid's positions.
    pub fn bands_of(&self, squares: &[f32]) -> Bands {
        let mut bands = Bands(vec![0.0; self.band.iter().max().map_or(0, |last| last + 1)]);
        self.band.iter().zip(squares).for_each(|(&band, &square)| bands.0[band] += f64::from(square));
        bands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn energy_is_kept() {
        let grid = Grid::new(4, 6);
        let map: Vec<f32> = (0..48).map(|i| ((i * 37 % 19) as f32 - 9.0) / 5.0).collect();
        let bands = BandPass::new(grid).energies(&map, 2);
        let squares: f64 = map.iter().map(|&v| f64::from(v).powi(2)).sum();
        assert!((bands.0.iter().sum::<f64>() - squares).abs() < 1e-4, "{bands:?} {squares}");
    }

    #[test]
    fn a_cosine_stands_in_its_band() {
        let wave = |y: usize, u: f64| (std::f64::consts::PI * (y as f64 + 0.5) * u / 8.0).cos() as f32;
        let map: Vec<f32> = (0..64).map(|i| wave(i / 8, 3.0) * wave(i % 8, 4.0)).collect();
        let bands = BandPass::new(Grid::square(8)).energies(&map, 1);
        assert!((bands.0[5] - 16.0).abs() < 1e-4, "{bands:?}");
        let constant = BandPass::new(Grid::square(8)).energies(&[2.0; 64], 1);
        assert!((constant.0[0] - 256.0).abs() < 1e-3 && constant.0[1..].iter().all(|e| *e < 1e-6));
    }
}
