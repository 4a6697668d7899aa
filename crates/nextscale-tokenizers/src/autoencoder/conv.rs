use burn::{
    module::{Module, Param, ParamId},
    tensor::{Device, Tensor},
};
use nextscale_core::Dtype;

/// A parameter without values; [`fill`](super::parameters::fill) supplies them.
pub(crate) fn empty<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    let init = move |device: &Device, _: bool| Tensor::zeros(shape, device);
    Param::uninitialized(ParamId::new(), init, device.clone(), true, shape.into())
}

/// A convolution that preserves the size: 3×3 with one row and column of zero padding, or 1×1.
#[derive(Module, Debug)]
pub struct Conv {
    /// `[out, in, kernel, kernel]`.
    pub weight: Param<Tensor<4>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
    /// The type in which a 3×3 convolution multiplies.
    #[module(skip)]
    pub dtype: Dtype,
}

impl Conv {
    pub(crate) fn new(kernel: usize, input: usize, out: usize, device: &Device) -> Self {
        let (weight, bias) = (empty([out, input, kernel, kernel], device), empty([out], device));
        Self { weight, bias, dtype: Dtype::F32 }
    }

    /// `[batch, in, h, w]` to `[batch, out, h, w]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        match (weight.dims()[2], self.dtype) {
            (3, Dtype::F32) => nextscale_kernels::conv2d_3x3(x, weight, Some(bias)),
            (3, Dtype::Bf16) => nextscale_kernels::conv2d_3x3_rounded(x, weight, Some(bias)),
            _ => nextscale_kernels::conv2d_1x1(x, weight, bias),
        }
    }
}
