use burn::{
    module::{Module, Param, ParamId},
    tensor::{DType, Device, Tensor},
};
use nextscale_core::Dtype;
use nextscale_kernels::{conv2d_1x1, conv2d_3x3, conv2d_3x3_rounded, conv2d_of_halves, in_type, is_half};

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
    /// The type in which a 3×3 convolution of f32 numbers multiplies.
    #[module(skip)]
    pub dtype: Dtype,
}

impl Conv {
    pub(crate) fn new(kernel: usize, input: usize, out: usize, device: &Device) -> Self {
        let (weight, bias) = (empty([out, input, kernel, kernel], device), empty([out], device));
        Self { weight, bias, dtype: Dtype::F32 }
    }

    /// The type of its weights in memory, and of what it reads and gives.
    pub(crate) fn stored(&self) -> DType {
        self.weight.val().dtype()
    }

    /// `[batch, in, h, w]` to `[batch, out, h, w]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        let stored = weight.dtype();
        if is_half(stored) {
            return conv2d_of_halves(in_type(x, stored), weight, bias);
        }
        match (weight.dims()[2], self.dtype) {
            (3, Dtype::Bf16) => conv2d_3x3_rounded(x, weight, Some(bias)),
            (3, _) => conv2d_3x3(x, weight, Some(bias)),
            _ => conv2d_1x1(x, weight, bias),
        }
    }
}
