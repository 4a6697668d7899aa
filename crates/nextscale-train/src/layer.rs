//! Layers of the small auxiliary networks, and their initial values.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData, module::avg_pool2d, ops::AvgPoolOptions};
use nextscale_core::{Dtype, is_cpu};
use nextscale_kernels::{conv2d_3x3, conv2d_3x3_rounded, group_norm_silu, linear};

use crate::params::Parameter;
use crate::random::{hash, uniform};

/// Channels per group of the norms.
pub const GROUP: usize = 8;
const EPS: f64 = 1e-5;

/// A 3×3 convolution without bias, group norm, SiLU.
#[derive(Module, Debug)]
pub struct Layer {
    /// `[out, in, 3, 3]`.
    pub conv: Param<Tensor<4>>,
    /// The norm's, `[out]`.
    pub weight: Param<Tensor<1>>,
    /// The norm's, `[out]`.
    pub bias: Param<Tensor<1>>,
    /// The type in which the convolution multiplies.
    #[module(skip)]
    pub dtype: Dtype,
}

impl Layer {
    /// A layer of zeros, to be filled by [`fresh`] or from a file; `outputs` is a multiple of [`GROUP`].
    pub fn new(inputs: usize, outputs: usize, device: &Device) -> Self {
        Self {
            conv: zeros([outputs, inputs, 3, 3], device),
            weight: zeros([outputs], device),
            bias: zeros([outputs], device),
            dtype: Dtype::F32,
        }
    }

    /// `[batch, in, h, w]` to `[batch, out, h, w]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = match self.dtype {
            Dtype::Bf16 => conv2d_3x3_rounded(x, self.conv.val(), None),
            // Nothing trains in f16.
            Dtype::F32 | Dtype::F16 => conv2d_3x3(x, self.conv.val(), None),
        };
        let [_, channels, ..] = x.dims();
        group_norm_silu(x, self.weight.val(), self.bias.val(), channels / GROUP, EPS)
    }
}

/// The means over 2 × 2 pixels: `[batch, channels, h, w]` to `[batch, channels, h/2, w/2]`, for even h and w.
///
/// On the CPU as a matrix product: two rows are adjacent, so that a mean is a sum over four of `2·w` numbers.
/// There this is many times faster than burn's pooling, especially its gradient.
pub fn halve(x: Tensor<4>) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    if !is_cpu(&x.device()) {
        return avg_pool2d(x, AvgPoolOptions::new([2, 2]));
    }
    let half = width / 2;
    let quarter = |i: usize| if i / half % width / 2 == i % half { 0.25 } else { 0.0 };
    let weights: Vec<f32> = (0..2 * width * half).map(quarter).collect();
    let weights = Tensor::from_data(TensorData::new(weights, [2 * width, half]), &x.device());
    let pairs = x.reshape([batch * channels * height / 2, 2 * width]);
    linear(pairs, weights, None).reshape([batch, channels, height / 2, half])
}

/// A parameter of zeros.
pub fn zeros<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::zeros(shape, device))
}

/// Initial values: convolutions and matrices uniform in ±√(3/inputs) (He and others, 2015, for unit gain),
/// norms at one and zero.
pub fn fresh(seed: u64, parameter: &Parameter) -> Tensor<1> {
    let count = parameter.values.dims()[0];
    let stream = hash(&parameter.name.bytes().map(u64::from).collect::<Vec<_>>());
    // The number of terms in an output: a convolution's input channels times taps, or a matrix's rows.
    let inputs = match parameter.shape.as_slice() {
        [_, inputs, kernel @ ..] if kernel.len() == 2 => Some(inputs * kernel[0] * kernel[1]),
        [inputs, _] => Some(*inputs),
        _ => None,
    };
    let bound = inputs.map(|inputs| (3.0 / inputs as f64).sqrt());
    let one = if parameter.name.ends_with("weight") { 1.0 } else { 0.0 };
    let values: Vec<f32> = (0..count as u64)
        .map(|i| match bound {
            Some(bound) => ((2.0 * uniform(&[seed, stream, i]) - 1.0) * bound) as f32,
            None => one,
        })
        .collect();
    Tensor::from_data(TensorData::new(values, [count]), &parameter.values.device())
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    #[test]
    fn halving_is_pooling_and_so_is_its_gradient() {
        let device = Device::flex().autodiff();
        let random = |shape: [usize; 4]| Tensor::<4>::random(shape, Distribution::Default, &device);
        let (x, up) = (random([2, 3, 6, 10]).require_grad(), random([2, 3, 3, 5]));
        let pooled = avg_pool2d(x.clone(), AvgPoolOptions::new([2, 2]));
        let halved = halve(x.clone());
        let same = |a: Tensor<4>, b: Tensor<4>| {
            a.into_data().assert_approx_eq::<f32>(&b.into_data(), Tolerance::absolute(1e-6));
        };
        same(halved.clone(), pooled.clone());
        let gradient = |y: Tensor<4>| x.grad(&(y * up.clone()).sum().backward()).unwrap();
        same(gradient(halved), gradient(pooled));
    }
}
