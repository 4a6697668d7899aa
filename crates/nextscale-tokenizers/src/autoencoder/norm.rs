use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};
use nextscale_kernels::{group_norm, group_norm_silu};

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

    /// The norm of x `[batch, channels, h, w]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        group_norm(x, self.weight.val(), self.bias.val(), self.groups, EPS)
    }

    /// SiLU of the norm.
    pub fn silu(&self, x: Tensor<4>) -> Tensor<4> {
        group_norm_silu(x, self.weight.val(), self.bias.val(), self.groups, EPS)
    }
}
