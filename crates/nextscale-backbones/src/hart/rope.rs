//! Rotary position embeddings: one axis for texts, rows and columns for images. Both turn the halves of a
//! whole head, as `nextscale_kernels::rotate_halves` does; for images, where the first half goes with the row
//! and the second with the column, that is not a rotation.

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::ScaleSchedule;

/// θ_j = 10000^(−step·j/width), in upstream's f32.
fn frequencies(step: usize, width: usize) -> Vec<f32> {
    (0..width / step).map(|j| 10_000_f64.powf(-((step * j) as f64 / width as f64)) as f32).collect()
}

/// Cosines, then sines, of a head's angles.
fn extend(turns: &mut Vec<f32>, angles: impl Iterator<Item = f32> + Clone) {
    turns.extend(angles.clone().map(|angle| f64::from(angle).cos() as f32));
    turns.extend(angles.map(|angle| f64::from(angle).sin() as f32));
}

/// The turns of texts from their rows' positions: `[texts, rows, 2, width]`.
pub(super) fn of_texts(positions: &[Vec<f32>], width: usize, device: &Device) -> Tensor<4> {
    let frequencies = frequencies(2, width);
    let rows = positions.first().map_or(0, Vec::len);
    let mut turns = Vec::with_capacity(positions.len() * rows * 2 * width);
    for &position in positions.iter().flatten() {
        let half = frequencies.iter().map(|frequency| position * frequency);
        extend(&mut turns, half.clone().chain(half));
    }
    Tensor::from_data(TensorData::new(turns, [positions.len(), rows, 2, width]), device)
}

/// The coordinates of a scale's `count` rows (or columns) among the `last` scale's, in upstream's f32.
fn places(count: usize, last: usize) -> impl Iterator<Item = f32> + Clone {
    (0..count).map(move |i| i as f32 / count as f32 * last as f32)
}

/// The turns of images' positions at every scale but the first, which is the texts': for every position at
/// which some text ends, so that they are on the device before the first scale.
pub(crate) struct OfImages {
    /// Where texts end, each once.
    ends: Vec<f32>,
    /// `[ends, positions of all scales from 1 on, 2, width]`.
    turns: Tensor<4>,
    schedule: ScaleSchedule,
}

impl OfImages {
    /// For images whose texts end at these positions, which are added to both coordinates.
    pub fn new(ends: &[f32], schedule: &ScaleSchedule, width: usize, device: &Device) -> Self {
        let mut distinct: Vec<f32> = Vec::new();
        for &end in ends {
            if !distinct.contains(&end) {
                distinct.push(end);
            }
        }
        let (frequencies, last) = (frequencies(4, width), schedule.last());
        let positions: usize = schedule.grids()[1..].iter().map(|grid| grid.positions()).sum();
        let mut turns = Vec::with_capacity(distinct.len() * positions * 2 * width);
        for &end in &distinct {
            for grid in &schedule.grids()[1..] {
                for row in places(grid.height, last.height) {
                    for column in places(grid.width, last.width) {
                        let of =
                            |place: f32| frequencies.iter().map(move |frequency| (place + end) * frequency);
                        let (row, column) = (of(row), of(column));
                        extend(&mut turns, row.clone().chain(row).chain(column.clone()).chain(column));
                    }
                }
            }
        }
        let shape = [distinct.len(), positions, 2, width];
        let turns = Tensor::from_data(TensorData::new(turns, shape), device);
        Self { ends: distinct, turns, schedule: schedule.clone() }
    }

    /// Those of scale `k`, which is not the first, for images whose texts end at these positions: `[images,
    /// h·w, 2, width]`.
    pub fn at(&self, ends: &[f32], k: usize) -> Tensor<4> {
        let (grids, positions) = (self.schedule.grids(), self.schedule.grid(k).positions());
        let before = grids[1..k].iter().map(|grid| grid.positions()).sum();
        let turns = self.turns.clone().narrow(1, before, positions);
        let place = |end: &f32| self.ends.iter().position(|known| known == end).unwrap_or(0);
        // Images in a row have few lengths, those of the unconditional side a single one.
        let runs = ends.chunk_by(|a, b| a == b).map(|run| {
            let at = place(&run[0]);
            turns.clone().slice_dim(0, at..at + 1).repeat_dim(0, run.len())
        });
        Tensor::cat(runs.collect(), 0)
    }
}

#[cfg(test)]
mod tests {
    use nextscale_core::Grid;

    use super::*;

    #[test]
    fn a_text_s_turns_are_a_rotation_and_an_image_s_are_not() {
        let device = Device::flex();
        let size = |x: &Tensor<4>| f64::from((x.clone() * x.clone()).sum().into_scalar::<f32>()).sqrt();
        let x = Tensor::<4>::ones([1, 1, 1, 8], &device);
        let text = nextscale_kernels::rotate_halves(x.clone(), of_texts(&[vec![3.0]], 8, &device));
        assert!((size(&text) - size(&x)).abs() < 1e-6);
        let schedule = ScaleSchedule::square(&[1, 2, 4]).unwrap();
        let turns = OfImages::new(&[5.0], &schedule, 8, &device).at(&[5.0], 1);
        let image = nextscale_kernels::rotate_halves(Tensor::<4>::ones([1, 4, 1, 8], &device), turns);
        let at = |i: usize| size(&image.clone().slice_dim(1, i..i + 1));
        // Row and column are the same on the diagonal only.
        assert!((at(0) - size(&x)).abs() < 1e-5 && (at(3) - size(&x)).abs() < 1e-5);
        assert!((at(1) - size(&x)).abs() > 1e-2);
    }

    #[test]
    fn images_whose_texts_end_at_the_same_place_share_their_turns() {
        let (ends, device) = ([4.0, 0.0, 4.0, 4.0], Device::flex());
        let grids = vec![Grid::square(1), Grid::new(2, 3), Grid::new(4, 6)];
        let schedule = ScaleSchedule::new(grids).unwrap();
        let turns = OfImages::new(&ends, &schedule, 8, &device);
        for k in [1, 2] {
            let four = turns.at(&ends, k);
            assert_eq!(four.dims(), [4, schedule.grid(k).positions(), 2, 8]);
            for (i, end) in ends.into_iter().enumerate() {
                let one = OfImages::new(&[end], &schedule, 8, &device).at(&[end], k);
                assert_eq!(four.clone().slice_dim(0, i..i + 1).into_data(), one.into_data());
            }
            // The streams that are left.
            assert_eq!(turns.at(&ends[1..3], k).into_data(), four.slice_dim(0, 1..3).into_data());
        }
    }
}
