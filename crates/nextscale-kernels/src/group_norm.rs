//! Group norm, with or without SiLU.

use burn::backend::{TensorMetadata, flex::FlexTensor};

use crate::{
    elementwise::{Function, Silu},
    extension::{Operation, dims, tensor, values},
    fma::fma,
    raw::{Kernel, Level, build, build_beside},
    reduce,
    rows::{rows_per_task, sum_over_first},
};

/// Group norm with inputs x `[batch, channels, height, width]`, weight and bias `[channels]`; with `silu`,
/// SiLU follows.
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm {
    pub groups: usize,
    pub eps: f32,
    pub silu: bool,
}

/// The layout of a buffer: `groups` per sample, `channels` per group, `plane` numbers per channel.
#[derive(Clone, Copy)]
pub struct Extent {
    pub groups: usize,
    pub channels: usize,
    pub plane: usize,
}

impl Extent {
    fn group(self) -> usize {
        self.channels * self.plane
    }
}

/// Consecutive groups; `first` is the first one's index over all samples.
struct Groups<'a, const SILU: bool> {
    x: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    first: usize,
    extent: Extent,
    eps: f32,
    out: &'a mut [f32],
}

impl<const SILU: bool> Kernel for Groups<'_, SILU> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Extent { groups, channels, plane } = self.extent;
        let size = self.extent.group();
        for (i, (x, out)) in self.x.chunks_exact(size).zip(self.out.chunks_exact_mut(size)).enumerate() {
            let channel = (self.first + i) % groups * channels;
            let (weight, bias) = (&self.weight[channel..][..channels], &self.bias[channel..][..channels]);
            let (mean, scale) = reduce::moments::<FMA>(x, self.eps);
            let planes = x.chunks_exact(plane).zip(out.chunks_exact_mut(plane));
            for ((x, out), (&weight, &bias)) in planes.zip(weight.iter().zip(bias)) {
                let slope = scale * weight;
                for (out, &x) in out.iter_mut().zip(x) {
                    let z = fma::<FMA>(x - mean, slope, bias);
                    *out = if SILU { Silu::value::<FMA>(z) } else { z };
                }
            }
        }
    }
}

/// As [`Groups`]. `sums` holds, per group, Σ dz·x̂ of its channels followed by Σ dz.
struct BackwardGroups<'a, const SILU: bool> {
    x: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    grad: &'a [f32],
    first: usize,
    extent: Extent,
    eps: f32,
    out: &'a mut [f32],
    sums: &'a mut [f32],
}

impl<const SILU: bool> Kernel for BackwardGroups<'_, SILU> {
    type Output = ();

    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Extent { groups, channels, plane } = self.extent;
        let size = self.extent.group();
        let count = size as f32;
        let tasks = self.x.chunks_exact(size).zip(self.grad.chunks_exact(size));
        let results = self.out.chunks_exact_mut(size).zip(self.sums.chunks_exact_mut(2 * channels));
        for (i, ((x, grad), (out, sums))) in tasks.zip(results).enumerate() {
            let channel = (self.first + i) % groups * channels;
            let (weight, bias) = (&self.weight[channel..][..channels], &self.bias[channel..][..channels]);
            let (mean, scale) = reduce::moments::<FMA>(x, self.eps);

            // dz, the gradient before SiLU, and its sums per channel.
            let (d_weight, d_bias) = sums.split_at_mut(channels);
            let (mut level, mut slope) = (0.0, 0.0);
            for c in 0..channels {
                let (x, grad) = (&x[c * plane..][..plane], &grad[c * plane..][..plane]);
                let out = &mut out[c * plane..][..plane];
                if SILU {
                    for ((out, &x), &grad) in out.iter_mut().zip(x).zip(grad) {
                        *out = grad * Silu::slope::<FMA>(fma::<FMA>(x - mean, scale * weight[c], bias[c]));
                    }
                } else {
                    out.copy_from_slice(grad);
                }
                d_weight[c] = scale * reduce::dot_centred::<FMA>(x, mean, out);
                d_bias[c] = reduce::sum(out);
                level += weight[c] * d_bias[c];
                slope += weight[c] * d_weight[c];
            }

            // dx = s·(w·dz - mean(w·dz) - x̂·mean(w·dz·x̂)) with x̂ = s·(x - mean).
            let (level, slope) = (scale * level / count, scale * scale * slope / count);
            for c in 0..channels {
                let own = scale * weight[c];
                let out = &mut out[c * plane..][..plane];
                for (out, &x) in out.iter_mut().zip(&x[c * plane..][..plane]) {
                    *out = fma::<FMA>(own, *out, fma::<FMA>(mean - x, slope, -level));
                }
            }
        }
    }
}

pub fn forward<const SILU: bool>(
    level: Level,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    extent: Extent,
    eps: f32,
) -> Vec<f32> {
    let rows = rows_per_task(extent.group());
    let part = rows * extent.group();
    build(x.len(), part, |i, out| {
        let x = &x[i * part..][..out.len()];
        level.run(Groups::<SILU> { x, weight, bias, first: i * rows, extent, eps, out });
    })
}

/// The gradients of x, weight and bias.
pub fn backward<const SILU: bool>(
    level: Level,
    x: &[f32],
    [weight, bias]: [&[f32]; 2],
    grad: &[f32],
    extent: Extent,
    eps: f32,
) -> [Vec<f32>; 3] {
    let rows = rows_per_task(extent.group());
    let part = rows * extent.group();
    let width = 2 * extent.channels;
    let mut sums = vec![0.0; x.len() / extent.group().max(1) * width];
    let dx = build_beside(x.len(), part, &mut sums, rows * width, |i, out, sums| {
        let (x, grad) = (&x[i * part..][..out.len()], &grad[i * part..][..out.len()]);
        let first = i * rows;
        level.run(BackwardGroups::<SILU> { x, weight, bias, grad, first, extent, eps, out, sums });
    });
    let totals = sum_over_first(&sums, extent.groups * width);
    let (d_weight, d_bias): (Vec<&[f32]>, Vec<&[f32]>) =
        totals.chunks_exact(width.max(1)).map(|group| group.split_at(extent.channels)).unzip();
    [dx, d_weight.concat(), d_bias.concat()]
}

impl GroupNorm {
    fn extent(&self, x: &FlexTensor) -> Extent {
        let [_, channels, height, width] = dims(x);
        Extent { groups: self.groups, channels: channels / self.groups, plane: height * width }
    }
}

impl Operation<3> for GroupNorm {
    fn forward(&self, [x, weight, bias]: &[FlexTensor; 3]) -> FlexTensor {
        let run = if self.silu { forward::<true> } else { forward::<false> };
        let (weight, bias) = (values(weight), values(bias));
        tensor(run(Level::detected(), values(x), weight, bias, self.extent(x), self.eps), x.shape())
    }

    fn saved(&self, inputs: [FlexTensor; 3], _output: &FlexTensor) -> Vec<FlexTensor> {
        inputs.into()
    }

    fn backward(
        &self,
        saved: &[FlexTensor],
        grad: &FlexTensor,
        _needed: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let [x, weight, bias] = saved else { unreachable!("three tensors were saved") };
        let run = if self.silu { backward::<true> } else { backward::<false> };
        let affine = [values(weight), values(bias)];
        let [dx, d_weight, d_bias] =
            run(Level::detected(), values(x), affine, values(grad), self.extent(x), self.eps);
        [
            Some(tensor(dx, x.shape())),
            Some(tensor(d_weight, weight.shape())),
            Some(tensor(d_bias, bias.shape())),
        ]
    }
}
