//! Layer norm without weight and bias, with or without the modulation of adaptive layer norm.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::{
    extension::{Operation, dims, tensor, values},
    fma::fma,
    raw::{InOrder, Kernel, Level, build, build_beside, build_in_order},
    reduce,
    rows::rows_per_task,
};

/// `(x - mean)/√(variance + eps)` over the last dimension.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    pub eps: f32,
}

struct Normalise<'a> {
    x: &'a [f32],
    channels: usize,
    eps: f32,
    out: &'a mut [f32],
}

impl Kernel for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let rows = self.x.chunks_exact(self.channels);
        for (x, out) in rows.zip(self.out.chunks_exact_mut(self.channels)) {
            let (mean, scale) = reduce::moments::<FMA>(x, self.eps);
            for (out, &x) in out.iter_mut().zip(x) {
                *out = (x - mean) * scale;
            }
        }
    }
}

struct NormaliseBackward<'a> {
    x: &'a [f32],
    grad: &'a [f32],
    channels: usize,
    eps: f32,
    out: &'a mut [f32],
}

impl Kernel for NormaliseBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let rows = self.x.chunks_exact(self.channels).zip(self.grad.chunks_exact(self.channels));
        for ((x, grad), out) in rows.zip(self.out.chunks_exact_mut(self.channels)) {
            let (mean, scale) = reduce::moments::<FMA>(x, self.eps);
            out.copy_from_slice(grad);
            to_input_gradient::<FMA>(x, mean, scale, out);
        }
    }
}

/// From the gradient of the normalised row (in `out`) to that of the row x itself, in place:
/// `dx = s·(dx̂ - mean(dx̂) - x̂·mean(dx̂·x̂))` with `x̂ = s·(x - mean)`.
#[inline(always)]
fn to_input_gradient<const FMA: bool>(x: &[f32], mean: f32, scale: f32, out: &mut [f32]) {
    let count = x.len() as f32;
    let level = reduce::sum(out) / count;
    let slope = scale * scale * reduce::dot_centred::<FMA>(x, mean, out) / count;
    for (out, &x) in out.iter_mut().zip(x) {
        *out = scale * fma::<FMA>(mean - x, slope, *out - level);
    }
}

pub fn forward(level: Level, x: &[f32], channels: usize, eps: f32) -> Vec<f32> {
    let part = rows_per_task(channels) * channels;
    build(x.len(), part, |i, out| {
        level.run(Normalise { x: &x[i * part..][..out.len()], channels, eps, out });
    })
}

pub fn backward(level: Level, x: &[f32], grad: &[f32], channels: usize, eps: f32) -> Vec<f32> {
    let part = rows_per_task(channels) * channels;
    build(x.len(), part, |i, out| {
        let (x, grad) = (&x[i * part..][..out.len()], &grad[i * part..][..out.len()]);
        level.run(NormaliseBackward { x, grad, channels, eps, out });
    })
}

impl Operation<1> for LayerNorm {
    fn forward(&self, [x]: &[FlexTensor; 1]) -> FlexTensor {
        let [_, _, channels] = dims(x);
        tensor(forward(Level::detected(), values(x), channels, self.eps), x.shape())
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
        let x = &saved[0];
        let [_, _, channels] = dims(x);
        let dx = backward(Level::detected(), values(x), values(grad), channels, self.eps);
        [Some(tensor(dx, x.shape()))]
    }
}

/// `layer_norm(x)·(1 + scale) + shift`, with inputs x, scale, shift.
#[derive(Clone, Copy, Debug)]
pub struct Modulate {
    pub eps: f32,
}

/// Rows of one image; `first` is the first row's index in the batch of images of `length` rows.
struct ModulateRows<'a, 'b> {
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    first: usize,
    length: usize,
    channels: usize,
    eps: f32,
    out: &'a mut InOrder<'b>,
}

impl Kernel for ModulateRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (i, x) in self.x.chunks_exact(self.channels).enumerate() {
            let image = (self.first + i) / self.length * self.channels;
            let (scale, shift) = (&self.scale[image..][..x.len()], &self.shift[image..][..x.len()]);
            let (mean, normal) = reduce::moments::<FMA>(x, self.eps);
            let modulated = x.iter().zip(scale).zip(shift);
            let modulated =
                modulated.map(|((&x, &scale), &shift)| fma::<FMA>((x - mean) * normal, 1.0 + scale, shift));
            self.out.push(x.len(), modulated);
        }
    }
}

/// One image: `sums` receives the gradients of its scale, followed by those of its shift.
struct ModulateBackward<'a> {
    x: &'a [f32],
    grad: &'a [f32],
    scale: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
    sums: &'a mut [f32],
}

impl Kernel for ModulateBackward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let channels = self.scale.len();
        let (d_scale, d_shift) = self.sums.split_at_mut(channels);
        let rows = self.x.chunks_exact(channels).zip(self.grad.chunks_exact(channels));
        for ((x, grad), out) in rows.zip(self.out.chunks_exact_mut(channels)) {
            let (mean, normal) = reduce::moments::<FMA>(x, self.eps);
            for ((d, &x), &grad) in d_scale.iter_mut().zip(x).zip(grad) {
                *d = fma::<FMA>(grad, (x - mean) * normal, *d);
            }
            for (d, &grad) in d_shift.iter_mut().zip(grad) {
                *d += grad;
            }
            for ((out, &grad), &scale) in out.iter_mut().zip(grad).zip(self.scale) {
                *out = grad * (1.0 + scale);
            }
            to_input_gradient::<FMA>(x, mean, normal, out);
        }
    }
}

/// x `[batch, length, channels]`, scale and shift `[batch, channels]`.
pub fn modulate(
    level: Level,
    x: &[f32],
    scale: &[f32],
    shift: &[f32],
    [length, channels]: [usize; 2],
    eps: f32,
) -> Vec<f32> {
    let rows = rows_per_task(channels);
    let part = rows * channels;
    build_in_order(x.len(), part, |i, out| {
        let x = &x[i * part..][..out.left()];
        level.run(ModulateRows { x, scale, shift, first: i * rows, length, channels, eps, out });
    })
}

/// The gradients of x `[batch, length, channels]` and, per image, of scale and shift `[batch, 2, channels]`.
pub fn modulate_backward(
    level: Level,
    x: &[f32],
    scale: &[f32],
    grad: &[f32],
    [length, channels]: [usize; 2],
    eps: f32,
) -> (Vec<f32>, Vec<f32>) {
    let image = length * channels;
    let mut sums = vec![0.0; 2 * scale.len()];
    let dx = build_beside(x.len(), image, &mut sums, 2 * channels, |i, out, sums| {
        let (x, grad) = (&x[i * image..][..image], &grad[i * image..][..image]);
        let scale = &scale[i * channels..][..channels];
        level.run(ModulateBackward { x, grad, scale, eps, out, sums });
    });
    (dx, sums)
}

impl Operation<3> for Modulate {
    fn forward(&self, [x, scale, shift]: &[FlexTensor; 3]) -> FlexTensor {
        let [_, length, channels] = dims(x);
        let (x, shape) = (values(x), x.shape());
        let level = Level::detected();
        tensor(modulate(level, x, values(scale), values(shift), [length, channels], self.eps), shape)
    }

    fn saved(&self, [x, scale, _]: [FlexTensor; 3], _output: &FlexTensor) -> Vec<FlexTensor> {
        vec![x, scale]
    }

    fn backward(
        &self,
        saved: &[FlexTensor],
        grad: &FlexTensor,
        _needed: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let [x, scale] = saved else { unreachable!("two tensors were saved") };
        let [batch, length, channels] = dims(x);
        let (dx, sums) = modulate_backward(
            Level::detected(),
            values(x),
            values(scale),
            values(grad),
            [length, channels],
            self.eps,
        );
        let (d_scale, d_shift): (Vec<&[f32]>, Vec<&[f32]>) =
            sums.chunks_exact(2 * channels).map(|image| image.split_at(channels)).unzip();
        let part = |rows: Vec<&[f32]>| Some(tensor(rows.concat(), [batch, 1, channels]));
        [Some(tensor(dx, x.shape())), part(d_scale), part(d_shift)]
    }
}
