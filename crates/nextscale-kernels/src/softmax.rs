//! Softmax over the last dimension.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::{
    extension::{Operation, tensor, values},
    math::exp,
    raw::{Kernel, Level, build},
    reduce,
    rows::rows_per_task,
};

struct Rows<'a> {
    x: &'a [f32],
    length: usize,
    out: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (x, out) in self.x.chunks_exact(self.length).zip(self.out.chunks_exact_mut(self.length)) {
            let top = reduce::max(x);
            for (out, &x) in out.iter_mut().zip(x) {
                *out = exp::<FMA>(x - top);
            }
            let scale = 1.0 / reduce::sum(out);
            for out in out.iter_mut() {
                *out *= scale;
            }
        }
    }
}

/// dx = y·(dy - Σ dy·y).
struct BackwardRows<'a> {
    y: &'a [f32],
    grad: &'a [f32],
    length: usize,
    out: &'a mut [f32],
}

impl Kernel for BackwardRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let rows = self.y.chunks_exact(self.length).zip(self.grad.chunks_exact(self.length));
        for ((y, grad), out) in rows.zip(self.out.chunks_exact_mut(self.length)) {
            let mean = reduce::dot::<FMA>(grad, y);
            for ((out, &y), &grad) in out.iter_mut().zip(y).zip(grad) {
                *out = y * (grad - mean);
            }
        }
    }
}

/// Softmax of every row of `length` numbers.
pub fn forward(level: Level, x: &[f32], length: usize) -> Vec<f32> {
    let part = rows_per_task(length) * length;
    build(x.len(), part, |i, out| {
        level.run(Rows { x: &x[i * part..][..out.len()], length, out });
    })
}

/// The gradient of softmax's input, from its result y.
pub fn backward(level: Level, y: &[f32], grad: &[f32], length: usize) -> Vec<f32> {
    let part = rows_per_task(length) * length;
    build(y.len(), part, |i, out| {
        let (y, grad) = (&y[i * part..][..out.len()], &grad[i * part..][..out.len()]);
        level.run(BackwardRows { y, grad, length, out });
    })
}

/// Softmax over rows of `length` numbers.
#[derive(Clone, Copy, Debug)]
pub struct Softmax {
    pub length: usize,
}

impl Operation<1> for Softmax {
    fn forward(&self, [x]: &[FlexTensor; 1]) -> FlexTensor {
        tensor(forward(Level::detected(), values(x), self.length), x.shape())
    }

    fn saved(&self, _inputs: [FlexTensor; 1], output: &FlexTensor) -> Vec<FlexTensor> {
        vec![output.clone()]
    }

    fn backward(
        &self,
        saved: &[FlexTensor],
        grad: &FlexTensor,
        _needed: [bool; 1],
    ) -> [Option<FlexTensor>; 1] {
        let y = &saved[0];
        [Some(tensor(backward(Level::detected(), values(y), values(grad), self.length), y.shape()))]
    }
}
