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
    rows: &'a mut [f32],
    length: usize,
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for row in self.rows.chunks_exact_mut(self.length) {
            let top = reduce::max(row);
            for value in row.iter_mut() {
                *value = exp::<FMA>(*value - top);
            }
            let scale = 1.0 / reduce::sum(row);
            for value in row.iter_mut() {
                *value *= scale;
            }
        }
    }
}

/// dx = y·(dy - Σ dy·y).
struct BackwardRows<'a> {
    y: &'a [f32],
    grad: &'a mut [f32],
    length: usize,
}

impl Kernel for BackwardRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (y, grad) in self.y.chunks_exact(self.length).zip(self.grad.chunks_exact_mut(self.length)) {
            let mean = reduce::dot::<FMA>(grad, y);
            for (grad, &y) in grad.iter_mut().zip(y) {
                *grad = y * (*grad - mean);
            }
        }
    }
}

/// Softmax of every row of `length` numbers, in place and on this thread.
pub fn in_place(level: Level, rows: &mut [f32], length: usize) {
    level.run(Rows { rows, length });
}

/// Turns the gradient of softmax's result y into that of its input, in place and on this thread.
pub fn backward_in_place(level: Level, y: &[f32], grad: &mut [f32], length: usize) {
    level.run(BackwardRows { y, grad, length });
}

/// Softmax of every row of `length` numbers.
pub fn forward(level: Level, x: &[f32], length: usize) -> Vec<f32> {
    let part = rows_per_task(length) * length;
    build(x.len(), part, |i, out| {
        out.copy_from_slice(&x[i * part..][..out.len()]);
        in_place(level, out, length);
    })
}

/// The gradient of softmax's input, from its result y.
pub fn backward(level: Level, y: &[f32], grad: &[f32], length: usize) -> Vec<f32> {
    let part = rows_per_task(length) * length;
    build(y.len(), part, |i, out| {
        out.copy_from_slice(&grad[i * part..][..out.len()]);
        backward_in_place(level, &y[i * part..][..out.len()], out, length);
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
