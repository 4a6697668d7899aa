//! Rotary position embeddings: one axis for texts, rows and columns for images. Both turn the halves of a
//! whole head, as `nextscale_kernels::rotate_halves` does; for images, where the first half goes with the row
//! and the second with the column, that is no rotation.

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::Grid;

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

/// The turns of a scale's positions for images whose texts end at these positions, which are added to both
/// coordinates: `[images, h·w, 2, width]`.
pub(super) fn of_images(ends: &[f32], grid: Grid, last: Grid, width: usize, device: &Device) -> Tensor<4> {
    let frequencies = frequencies(4, width);
    let mut turns = Vec::with_capacity(ends.len() * grid.positions() * 2 * width);
    for (image, &end) in ends.iter().enumerate() {
        // Most batches have few lengths, the unconditional side a single one.
        if let Some(same) = ends[..image].iter().position(|other| *other == end) {
            let size = grid.positions() * 2 * width;
            turns.extend_from_within(same * size..(same + 1) * size);
            continue;
        }
        for row in places(grid.height, last.height) {
            for column in places(grid.width, last.width) {
                let of = |place: f32| frequencies.iter().map(move |frequency| (place + end) * frequency);
                let (row, column) = (of(row), of(column));
                extend(&mut turns, row.clone().chain(row).chain(column.clone()).chain(column));
            }
        }
    }
    Tensor::from_data(TensorData::new(turns, [ends.len(), grid.positions(), 2, width]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_s_turns_are_a_rotation_and_an_image_s_are_not() {
        let device = Device::flex();
        let size = |x: &Tensor<4>| f64::from((x.clone() * x.clone()).sum().into_scalar::<f32>()).sqrt();
        let x = Tensor::<4>::ones([1, 1, 1, 8], &device);
        let text = nextscale_kernels::rotate_halves(x.clone(), of_texts(&[vec![3.0]], 8, &device));
        assert!((size(&text) - size(&x)).abs() < 1e-6);
        let grids = (Grid::square(2), Grid::square(4));
        let image = Tensor::<4>::ones([1, 4, 1, 8], &device);
        let image = nextscale_kernels::rotate_halves(image, of_images(&[5.0], grids.0, grids.1, 8, &device));
        let at = |i: usize| size(&image.clone().slice_dim(1, i..i + 1));
        // Row and column are the same on the diagonal only.
        assert!((at(0) - size(&x)).abs() < 1e-5 && (at(3) - size(&x)).abs() < 1e-5);
        assert!((at(1) - size(&x)).abs() > 1e-2);
    }

    #[test]
    fn images_whose_texts_end_at_the_same_place_share_their_turns() {
        let (grid, device) = (Grid::new(2, 3), Device::flex());
        let three = of_images(&[4.0, 0.0, 4.0], grid, Grid::new(4, 6), 8, &device);
        for (i, end) in [4.0, 0.0, 4.0].into_iter().enumerate() {
            let one = of_images(&[end], grid, Grid::new(4, 6), 8, &device);
            assert_eq!(three.clone().slice_dim(0, i..i + 1).into_data(), one.into_data());
        }
    }
}
