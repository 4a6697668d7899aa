//! The gated residual of adaptive layer norm blocks.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::{
    extension::{Operation, dims, tensor, values},
    fma::fma,
    raw::{InOrder, Kernel, Level, build_beside, build_in_order},
    rows::rows_per_task,
};

/// `x + gate·y`, with inputs x, gate, y.
#[derive(Clone, Copy, Debug)]
pub struct GatedResidual;

/// Rows of `channels` numbers; `first` is the first row's index in the batch of images of `length` rows.
struct Rows<'a, 'b> {
    x: &'a [f32],
    gate: &'a [f32],
    y: &'a [f32],
    first: usize,
    length: usize,
    channels: usize,
    out: &'a mut InOrder<'b>,
}

impl Kernel for Rows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let rows = self.x.chunks_exact(self.channels).zip(self.y.chunks_exact(self.channels));
        for (i, (x, y)) in rows.enumerate() {
            let gate = &self.gate[(self.first + i) / self.length * self.channels..][..x.len()];
            let sums = x.iter().zip(y).zip(gate).map(|((&x, &y), &gate)| fma::<FMA>(gate, y, x));
            self.out.push(x.len(), sums);
        }
    }
}

/// One image: the gradient of y, and in `sums` that of its gate.
struct BackwardImage<'a> {
    gate: &'a [f32],
    y: &'a [f32],
    grad: &'a [f32],
    out: &'a mut [f32],
    sums: &'a mut [f32],
}

impl Kernel for BackwardImage<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let channels = self.gate.len();
        let rows = self.y.chunks_exact(channels).zip(self.grad.chunks_exact(channels));
        for ((y, grad), out) in rows.zip(self.out.chunks_exact_mut(channels)) {
            for ((sum, &y), &grad) in self.sums.iter_mut().zip(y).zip(grad) {
                *sum = fma::<FMA>(grad, y, *sum);
            }
            for ((out, &grad), &gate) in out.iter_mut().zip(grad).zip(self.gate) {
                *out = grad * gate;
            }
        }
    }
}

/// x and y `[batch, length, channels]`, gate `[batch, channels]`.
pub fn forward(level: Level, x: &[f32], gate: &[f32], y: &[f32], [length, channels]: [usize; 2]) -> Vec<f32> {
    let rows = rows_per_task(channels);
    let part = rows * channels;
    build_in_order(x.len(), part, |i, out| {
        let (x, y) = (&x[i * part..][..out.left()], &y[i * part..][..out.left()]);
        level.run(Rows { x, gate, y, first: i * rows, length, channels, out });
    })
}

/// The gradients of y and gate; that of x is `grad` itself.
pub fn backward(
    level: Level,
    gate: &[f32],
    y: &[f32],
    grad: &[f32],
    [length, channels]: [usize; 2],
) -> (Vec<f32>, Vec<f32>) {
    let image = length * channels;
    let mut sums = vec![0.0; gate.len()];
    let dy = build_beside(y.len(), image, &mut sums, channels, |i, out, sums| {
        let (y, grad) = (&y[i * image..][..image], &grad[i * image..][..image]);
        let gate = &gate[i * channels..][..channels];
        level.run(BackwardImage { gate, y, grad, out, sums });
    });
    (dy, sums)
}

impl Operation<3> for GatedResidual {
    fn forward(&self, [x, gate, y]: &[FlexTensor; 3]) -> FlexTensor {
        let [_, length, channels] = dims(x);
        let out = forward(Level::detected(), values(x), values(gate), values(y), [length, channels]);
        tensor(out, x.shape())
    }

    fn saved(&self, [_, gate, y]: [FlexTensor; 3], _output: &FlexTensor) -> Vec<FlexTensor> {
        vec![gate, y]
    }

    fn backward(
        &self,
        saved: &[FlexTensor],
        grad: &FlexTensor,
        _needed: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let [gate, y] = saved else { unreachable!("two tensors were saved") };
        let [_, length, channels] = dims(y);
        let (dy, d_gate) =
            backward(Level::detected(), values(gate), values(y), values(grad), [length, channels]);
        [Some(grad.clone()), Some(tensor(d_gate, gate.shape())), Some(tensor(dy, y.shape()))]
    }
}
