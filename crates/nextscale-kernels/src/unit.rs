//! Rows normalised to norm one.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::{
    extension::{Operation, tensor, values},
    heads::LEAST_SQUARE,
    raw::{Kernel, Level, build},
    reduce::dot,
    rows::rows_per_task,
};

/// `x / max(‖x‖, 1e-12)` of every row of `length` numbers.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    pub length: usize,
}

/// One over the norm of a row, and whether the norm was clamped.
#[inline(always)]
fn factor<const FMA: bool>(x: &[f32]) -> (f32, bool) {
    let square = dot::<FMA>(x, x);
    // Not `max`: it would turn NaN into a number.
    let least = square < LEAST_SQUARE;
    (1.0 / if least { LEAST_SQUARE } else { square }.sqrt(), least)
}

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
            let (factor, _) = factor::<FMA>(x);
            for (out, &x) in out.iter_mut().zip(x) {
                *out = x * factor;
            }
        }
    }
}

/// dx = (dy − y·Σ dy·y) / ‖x‖, or dy times the factor if that is a constant.
struct BackwardRows<'a> {
    x: &'a [f32],
    grad: &'a [f32],
    length: usize,
    out: &'a mut [f32],
}

impl Kernel for BackwardRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let rows = self.x.chunks_exact(self.length).zip(self.grad.chunks_exact(self.length));
        for ((x, grad), out) in rows.zip(self.out.chunks_exact_mut(self.length)) {
            let (factor, least) = factor::<FMA>(x);
            let along = if least { 0.0 } else { dot::<FMA>(grad, x) * factor * factor };
            for ((out, &grad), &x) in out.iter_mut().zip(grad).zip(x) {
                *out = (grad - along * x) * factor;
            }
        }
    }
}

impl Operation<1> for Unit {
    fn forward(&self, [x]: &[FlexTensor; 1]) -> FlexTensor {
        let length = self.length;
        let (x_values, part) = (values(x), rows_per_task(length) * length);
        let out = build(x_values.len(), part, |i, out| {
            let x = &x_values[i * part..][..out.len()];
            Level::detected().run(Rows { x, length, out });
        });
        tensor(out, x.shape())
    }

    fn saved(&self, inputs: [FlexTensor; 1], _output: &FlexTensor) -> Vec<FlexTensor> {
        inputs.into()
    }

    fn backward(
        &self,
        saved: &[FlexTensor],
        grad: &FlexTensor,
        _needed: [bool; 1],
    ) -> [Option<FlexTensor>; 1] {
        let length = self.length;
        let (x, grads, part) = (values(&saved[0]), values(grad), rows_per_task(length) * length);
        let out = build(x.len(), part, |i, out| {
            let (x, grad) = (&x[i * part..][..out.len()], &grads[i * part..][..out.len()]);
            Level::detected().run(BackwardRows { x, grad, length, out });
        });
        [Some(tensor(out, saved[0].shape()))]
    }
}
