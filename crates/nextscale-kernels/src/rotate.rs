//! Rotary position embeddings: pairs of neighbouring channels turned by angles.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::{
    extension::{Operation, dims, tensor, values},
    raw::{Kernel, Level, build},
    rows::rows_per_task,
};

/// Every pair (a, b) of a head's channels becomes (a·cos − b·sin, a·sin + b·cos). Inputs: x `[batch,
/// positions, heads, width]` and turns `[positions, width]`, with the cosine and sine of each pair in its
/// place. Turns are constants.
#[derive(Clone, Copy, Debug)]
pub struct Rotate;

/// Rows of `heads·width` numbers; `first` is the first row's index among all images'.
struct Rows<'a> {
    x: &'a [f32],
    turns: &'a [f32],
    first: usize,
    positions: usize,
    heads: usize,
    width: usize,
    /// 1 turns, −1 turns back.
    direction: f32,
    out: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let channels = self.heads * self.width;
        let rows = self.x.chunks_exact(channels).zip(self.out.chunks_exact_mut(channels));
        for (i, (x, out)) in rows.enumerate() {
            let turns = &self.turns[(self.first + i) % self.positions * self.width..][..self.width];
            for (x, out) in x.chunks_exact(self.width).zip(out.chunks_exact_mut(self.width)) {
                let pairs = x.chunks_exact(2).zip(turns.chunks_exact(2));
                for ((x, turn), out) in pairs.zip(out.chunks_exact_mut(2)) {
                    let (cosine, sine) = (turn[0], turn[1] * self.direction);
                    out[0] = x[0] * cosine - x[1] * sine;
                    out[1] = x[0] * sine + x[1] * cosine;
                }
            }
        }
    }
}

fn turn(x: &FlexTensor, turns: &FlexTensor, direction: f32) -> FlexTensor {
    let [_, positions, heads, width] = dims(x);
    let (numbers, turns) = (values(x), values(turns));
    let rows = rows_per_task(heads * width);
    let part = rows * heads * width;
    let out = build(numbers.len(), part, |i, out| {
        let x = &numbers[i * part..][..out.len()];
        Level::detected().run(Rows { x, turns, first: i * rows, positions, heads, width, direction, out });
    });
    tensor(out, x.shape())
}

impl Operation<2> for Rotate {
    fn forward(&self, [x, turns]: &[FlexTensor; 2]) -> FlexTensor {
        turn(x, turns, 1.0)
    }

    fn saved(&self, [_, turns]: [FlexTensor; 2], _output: &FlexTensor) -> Vec<FlexTensor> {
        vec![turns]
    }

    fn backward(
        &self,
        saved: &[FlexTensor],
        grad: &FlexTensor,
        _needed: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        [Some(turn(grad, &saved[0], -1.0)), None]
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor, TensorData};

    use crate::{composed, rotate, testing::numbers};

    fn inputs(batch: usize, positions: usize, heads: usize, width: usize) -> (Tensor<4>, Tensor<2>) {
        let device = Device::flex();
        let shape = [batch, positions, heads, width];
        let x = Tensor::from_data(TensorData::new(numbers(3, shape.iter().product()), shape), &device);
        let angles = numbers(4, positions * width / 2);
        let turns: Vec<f32> = angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]).collect();
        (x, Tensor::from_data(TensorData::new(turns, [positions, width]), &device))
    }

    #[test]
    fn pairs_turn_as_burns_operations_turn_them_and_keep_their_length() {
        for (batch, positions, heads, width) in [(1, 1, 1, 2), (2, 9, 3, 8), (3, 70, 4, 34), (2, 300, 8, 96)]
        {
            let (x, turns) = inputs(batch, positions, heads, width);
            let got = rotate(x.clone(), turns.clone());
            let expected = composed::rotate(x.clone(), turns);
            assert!((got.clone() - expected).abs().max().into_scalar::<f32>() < 1e-6);
            let size = |x: Tensor<4>| (x.clone() * x).sum_dim(3);
            assert!((size(got) - size(x)).abs().max().into_scalar::<f32>() < 1e-4);
        }
    }

    #[test]
    fn the_gradient_turns_back() {
        let (x, turns) = inputs(2, 5, 3, 8);
        let device = Device::flex().autodiff();
        let of = |route: fn(Tensor<4>, Tensor<2>) -> Tensor<4>| {
            let x = Tensor::from_data(x.to_data(), &device).require_grad();
            let turns = Tensor::from_data(turns.to_data(), &device);
            let out = route(x.clone(), turns);
            let gradients = (out.clone() * out.clone() * out).sum().backward();
            x.grad(&gradients).unwrap()
        };
        let apart = of(rotate) - of(composed::rotate);
        assert!(apart.abs().max().into_scalar::<f32>() < 1e-5);
    }
}
