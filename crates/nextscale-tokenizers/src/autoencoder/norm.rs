use burn::{
    module::{Module, Param},
    tensor::{DType, Device, Tensor},
};
use nextscale_kernels::group_norm_in;

use super::{NormGroups, conv::empty};

/// Upstream's epsilon; libraries default to 1e-5.
const EPS: f64 = 1e-6;

/// Group norm with a weight and bias per channel.
#[derive(Module, Debug)]
pub struct Norm {
    /// `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// `[channels]`.
    pub bias: Param<Tensor<1>>,
    /// The number of groups.
    pub groups: usize,
}

impl Norm {
    pub(crate) fn new(channels: usize, norms: NormGroups, device: &Device) -> Self {
        let (weight, bias) = (empty([channels], device), empty([channels], device));
        Self { weight, bias, groups: norms.of(channels) }
    }

    /// The norm of x `[batch, channels, h, w]`, computed in f32 and rounded to the type `to`.
    pub fn forward(&self, x: Tensor<4>, to: DType) -> Tensor<4> {
        group_norm_in(x, self.weight.val(), self.bias.val(), self.groups, EPS, false, to)
    }

    /// SiLU of the norm, likewise.
    pub fn silu(&self, x: Tensor<4>, to: DType) -> Tensor<4> {
        group_norm_in(x, self.weight.val(), self.bias.val(), self.groups, EPS, true, to)
    }
}
