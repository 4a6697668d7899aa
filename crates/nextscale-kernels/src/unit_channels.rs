//! The channels of every pixel normalised to length one.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::{
    extension::{Operation, dims, tensor, values},
    fma::fma,
    raw::{Kernel, Level, build},
};

/// `x / √(Σ over channels of x² + eps)` for x `[batch, channels, height, width]`.
#[derive(Clone, Copy, Debug)]
pub struct UnitChannels {
    pub eps: f32,
}

/// One over the length of every pixel's channels.
#[inline(always)]
fn factors<const FMA: bool>(x: &[f32], plane: usize, eps: f32) -> Vec<f32> {
    let mut factors = vec![eps; plane];
    for x in x.chunks_exact(plane) {
        for (sum, &x) in factors.iter_mut().zip(x) {
            *sum = fma::<FMA>(x, x, *sum);
        }
    }
    factors.iter_mut().for_each(|sum| *sum = 1.0 / sum.sqrt());
    factors
}

/// An image.
struct Forward<'a> {
    x: &'a [f32],
    plane: usize,
    eps: f32,
    out: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let factors = factors::<FMA>(self.x, self.plane, self.eps);
        for (x, out) in self.x.chunks_exact(self.plane).zip(self.out.chunks_exact_mut(self.plane)) {
            for ((out, &x), &factor) in out.iter_mut().zip(x).zip(&factors) {
                *out = x * factor;
            }
        }
    }
}

/// dx = (dy − y·Σ over channels of dy·y)·factor, for an image.
struct Backward<'a> {
    x: &'a [f32],
    grad: &'a [f32],
    plane: usize,
    eps: f32,
    out: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Backward { x, grad, plane, eps, out } = self;
        let factors = factors::<FMA>(x, plane, eps);
        let mut along = vec![0.0; plane];
        for (x, grad) in x.chunks_exact(plane).zip(grad.chunks_exact(plane)) {
            for ((along, &x), &grad) in along.iter_mut().zip(x).zip(grad) {
                *along = fma::<FMA>(x, grad, *along);
            }
        }
        along.iter_mut().zip(&factors).for_each(|(along, &factor)| *along *= factor * factor);
        let planes = x.chunks_exact(plane).zip(grad.chunks_exact(plane)).zip(out.chunks_exact_mut(plane));
        for ((x, grad), out) in planes {
            let pixels = out.iter_mut().zip(x).zip(grad).zip(along.iter().zip(&factors));
            for (((out, &x), &grad), (&along, &factor)) in pixels {
                *out = fma::<FMA>(-along, x, grad) * factor;
            }
        }
    }
}

impl Operation<1> for UnitChannels {
    fn forward(&self, [x]: &[FlexTensor; 1]) -> FlexTensor {
        let [_, channels, height, width] = dims(x);
        let (numbers, plane) = (values(x), height * width);
        let image = channels * plane;
        let out = build(numbers.len(), image, |i, out| {
            Level::detected().run(Forward { x: &numbers[i * image..][..image], plane, eps: self.eps, out });
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
        let [_, channels, height, width] = dims(&saved[0]);
        let (x, grads, plane) = (values(&saved[0]), values(grad), height * width);
        let image = channels * plane;
        let out = build(x.len(), image, |i, out| {
            let (x, grad) = (&x[i * image..][..image], &grads[i * image..][..image]);
            Level::detected().run(Backward { x, grad, plane, eps: self.eps, out });
        });
        [Some(tensor(out, saved[0].shape()))]
    }
}
