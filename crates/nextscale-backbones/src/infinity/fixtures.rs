//! The reference numbers for tests: upstream's code on tiny models (tests/fixtures/infinity/README.md).

use std::path::PathBuf;

use burn::tensor::{Bool, Device, Tensor, TensorData};
use nextscale_core::{BatchConditions, ConditionRows, Grid, PassCondition, ScaleSchedule, resample};
use nextscale_weights::WeightFile;

use super::Infinity;
pub use crate::var::fixtures::{Reference, assert_close};

/// The path of a fixture.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/infinity").join(name)
}

/// A JSON fixture.
pub fn json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

/// A fixture of tensors.
pub fn opened(name: &str) -> WeightFile {
    WeightFile::open(path(name)).unwrap()
}

/// Recorded tensors.
pub fn reference(name: &str) -> Reference {
    Reference::new(opened(name))
}

/// The tiny model `base` or `patchify` on the scales of a reference run.
pub fn model(name: &str, schedule: &ScaleSchedule, device: &Device) -> Infinity {
    Infinity::open(path(&format!("{name}/infinity.safetensors")), Some(schedule), device).unwrap()
}

/// The scales of a reference run.
pub fn schedule(reference: &Reference) -> ScaleSchedule {
    let scales = reference.ints::<2>("scale_schedule").into_data();
    let scales: Vec<usize> = scales.iter::<i64>().map(|side| side as usize).collect();
    ScaleSchedule::new(scales.chunks(3).map(|scale| Grid::new(scale[1], scale[2])).collect()).unwrap()
}

/// A list of numbers.
pub fn list(reference: &Reference, name: &str) -> Vec<f64> {
    reference.tensor::<1>(name).into_data().iter::<f64>().collect()
}

/// Concatenated texts, `[rows, width]`, as a padded batch.
pub fn texts(rows: &Tensor<2>, lengths: &[usize]) -> ConditionRows {
    let [_, width] = rows.dims();
    let device = rows.device();
    let longest = lengths.iter().copied().max().unwrap();
    let mut start = 0;
    let values = lengths.iter().map(|&length| {
        let own = rows.clone().slice_dim(0, start..start + length);
        start += length;
        // Padding must have no effect.
        let rest = Tensor::full([longest - length, width], 7.0, &device);
        Tensor::cat(vec![own, rest], 0).unsqueeze::<3>()
    });
    let values = Tensor::cat(values.collect(), 0);
    let mask: Vec<bool> = lengths.iter().flat_map(|&length| (0..longest).map(move |i| i < length)).collect();
    let mask = Tensor::<2, Bool>::from_data(TensorData::new(mask, [lengths.len(), longest]), &device);
    ConditionRows::Embeddings { values, mask }
}

/// The lengths of a run's texts.
pub fn lengths(reference: &Reference, name: &str) -> Vec<usize> {
    reference.ints::<1>(name).into_data().iter::<i64>().map(|length| length as usize).collect()
}

/// The texts of a run.
pub fn given(reference: &Reference) -> ConditionRows {
    texts(&reference.tensor("text"), &lengths(reference, "text_lens"))
}

/// The texts of a run; on the negative side, its negatives or the learned rows for no text.
pub fn conditions(model: &Infinity, reference: &Reference) -> BatchConditions {
    let lengths_given = lengths(reference, "text_lens");
    let negative = match reference.names().any(|name| name == "neg_text") {
        true => texts(&reference.tensor("neg_text"), &lengths(reference, "neg_text_lens")),
        false => {
            let null = model.null_text();
            let rows = lengths_given.iter().map(|&length| null.clone().slice_dim(0, 0..length));
            texts(&Tensor::cat(rows.collect(), 0), &lengths_given)
        }
    };
    let sides = [(PassCondition::Given, given(reference)), (PassCondition::Negative, negative)];
    BatchConditions::new(lengths_given.len(), sides).unwrap()
}

/// The sum of the bits, written out by hand: codes ±1/√d, each scale resized to the finest grid.
pub struct Canvas {
    schedule: ScaleSchedule,
    /// Bits per cell, and cells along a token's side.
    bits: usize,
    side: usize,
    batch: usize,
    /// `[batch, bits, H, W]`.
    sum: Vec<f64>,
}

impl Canvas {
    pub fn new(schedule: &ScaleSchedule, bits: usize, side: usize, batch: usize) -> Self {
        let cells = schedule.last().positions() * side * side;
        Self { schedule: schedule.clone(), bits, side, batch, sum: vec![0.0; batch * bits * cells] }
    }

    fn grid(&self, k: usize) -> Grid {
        let Grid { height, width } = self.schedule.grid(k);
        Grid::new(height * self.side, width * self.side)
    }

    fn resized(&self, from: Grid, to: Grid, values: &[f64]) -> Vec<f64> {
        let rows = resample::bilinear(from.height, to.height);
        let columns = resample::bilinear(from.width, to.width);
        let mut out = Vec::new();
        for plane in values.chunks(from.positions()) {
            for row in rows.chunks(from.height) {
                for column in columns.chunks(from.width) {
                    let at = |y: usize, x: usize| row[y] * column[x] * plane[y * from.width + x];
                    out.push(
                        (0..from.height)
                            .flat_map(|y| (0..from.width).map(move |x| (y, x)))
                            .map(|(y, x)| at(y, x))
                            .sum(),
                    );
                }
            }
        }
        out
    }

    /// Adds the bits of scale `k`, `[batch, h, w, bits]` on the grid of cells.
    pub fn add(&mut self, bits: &[i64], k: usize) {
        let (from, to) = (self.grid(k), self.schedule.len() - 1);
        let code = 1.0 / (self.bits as f64).sqrt();
        let mut codes = vec![0.0; bits.len()];
        let cells = from.positions();
        for (i, bit) in bits.iter().enumerate() {
            let (cell, channel) = (i / self.bits, i % self.bits);
            let (image, cell) = (cell / cells, cell % cells);
            codes[(image * self.bits + channel) * cells + cell] = if *bit == 1 { code } else { -code };
        }
        let codes = self.resized(from, self.grid(to), &codes);
        self.sum.iter_mut().zip(codes).for_each(|(sum, code)| *sum += code);
    }

    /// The input of scale `k`, `[batch, h·w, bits · side²]`.
    pub fn input(&self, k: usize) -> Tensor<3> {
        let (from, to) = (self.grid(self.schedule.len() - 1), self.grid(k));
        let small = self.resized(from, to, &self.sum);
        let (grid, side) = (self.schedule.grid(k), self.side);
        let channels = self.bits * side * side;
        let mut values = Vec::with_capacity(self.batch * grid.positions() * channels);
        for image in 0..self.batch {
            for position in 0..grid.positions() {
                let (row, column) = (position / grid.width * side, position % grid.width * side);
                for channel in 0..self.bits {
                    for cell in 0..side * side {
                        let (y, x) = (row + cell / side, column + cell % side);
                        let plane = (image * self.bits + channel) * to.positions();
                        values.push(small[plane + y * to.width + x] as f32);
                    }
                }
            }
        }
        Tensor::from_data(TensorData::new(values, [self.batch, grid.positions(), channels]), &Device::flex())
    }

    /// A token's bits, `[batch, h·w, bits · side²]`, as bits of cells, `[batch, h, w, bits]`.
    pub fn cells(&self, tokens: &[i64], k: usize) -> Vec<i64> {
        let (grid, cells, side) = (self.schedule.grid(k), self.grid(k), self.side);
        let channels = self.bits * side * side;
        let mut bits = vec![0; tokens.len()];
        for (i, &bit) in tokens.iter().enumerate() {
            let (token, channel) = (i / channels, i % channels);
            let (image, position) = (token / grid.positions(), token % grid.positions());
            let (bit_channel, part) = (channel / (side * side), channel % (side * side));
            let row = position / grid.width * side + part / side;
            let column = position % grid.width * side + part % side;
            bits[((image * cells.height + row) * cells.width + column) * self.bits + bit_channel] = bit;
        }
        bits
    }
}
