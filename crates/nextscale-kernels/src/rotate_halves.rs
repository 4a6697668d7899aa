//! Rotary position embeddings whose pairs are a channel of a head's first half and its counterpart in the
//! second half, each of the two with an angle of its own; outside autodiff.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::{
    extension::{dims, tensor, values},
    raw::{Kernel, Level, build},
    rows::rows_per_task,
};

/// Rows of `heads·width` numbers; `first` is the first row's index among all images'.
struct Rows<'a> {
    x: &'a [f32],
    turns: &'a [f32],
    first: usize,
    /// Rows of turns, which repeat beyond them.
    turned: usize,
    heads: usize,
    width: usize,
    out: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let (width, half) = (self.width, self.width / 2);
        let channels = self.heads * width;
        let rows = self.x.chunks_exact(channels).zip(self.out.chunks_exact_mut(channels));
        for (i, (x, out)) in rows.enumerate() {
            let turns = &self.turns[(self.first + i) % self.turned * 2 * width..][..2 * width];
            let (cosines, sines) = turns.split_at(width);
            for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
                let ((low, high), (out_low, out_high)) = (x.split_at(half), out.split_at_mut(half));
                for j in 0..half {
                    out_low[j] = low[j] * cosines[j] - high[j] * sines[j];
                    out_high[j] = high[j] * cosines[half + j] + low[j] * sines[half + j];
                }
            }
        }
    }
}

/// `x·cos + (−x_high, x_low)·sin`: x `[batch, positions, heads, width]` and turns `[batch or 1, positions, 2,
/// width]`, cosines before sines.
pub fn turned([x, turns]: &[FlexTensor; 2]) -> FlexTensor {
    let ([_, _, heads, width], [images, positions, ..]) = (dims(x), dims::<4>(turns));
    let (numbers, turns) = (values(x), values(turns));
    let rows = rows_per_task(heads * width);
    let part = rows * heads * width;
    let turned = images * positions;
    let out = build(numbers.len(), part, |i, out| {
        let x = &numbers[i * part..][..out.len()];
        Level::detected().run(Rows { x, turns, first: i * rows, turned, heads, width, out });
    });
    tensor(out, x.shape())
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};

    use crate::{composed, rotate_halves, testing::numbers};

    fn made(salt: u32, shape: [usize; 4]) -> Tensor<4> {
        let values = numbers(salt, shape.iter().product());
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    #[test]
    fn halves_turn_as_burns_operations_turn_them() {
        for ([batch, positions, heads, width], images) in
            [([1, 1, 1, 2], 1), ([2, 9, 3, 8], 1), ([2, 9, 3, 8], 2), ([3, 70, 4, 34], 3)]
        {
            let x = made(5, [batch, positions, heads, width]);
            let turns = made(6, [images, positions, 2, width]);
            let got = rotate_halves(x.clone(), turns.clone());
            let expected = composed::rotate_halves(x, turns);
            assert!((got - expected).abs().max().into_scalar::<f32>() < 1e-6);
        }
    }

    #[test]
    fn one_angle_for_both_halves_is_a_rotation() {
        let x = made(7, [1, 5, 2, 6]);
        let angles = numbers(8, 15);
        let turns = angles.chunks(3).flat_map(|row| {
            let both = |f: fn(f32) -> f32| [row, row].concat().into_iter().map(f).collect::<Vec<_>>();
            [both(f32::cos), both(f32::sin)].concat()
        });
        let turns = TensorData::new(turns.collect::<Vec<f32>>(), [1, 5, 2, 6]);
        let got = rotate_halves(x.clone(), Tensor::from_data(turns, &Device::flex()));
        let size = |x: Tensor<4>| (x.clone() * x).sum_dim(3);
        assert!((size(got) - size(x)).abs().max().into_scalar::<f32>() < 1e-5);
    }
}
