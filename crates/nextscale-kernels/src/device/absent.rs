//! No kernels: the functions of a build without devices.

use burn::tensor::Tensor;

use super::Keep;

/// Always `None`; see the feature `device`.
pub fn filter(_x: &Tensor<2>, _keep: Keep) -> Option<Tensor<2>> {
    None
}

/// Always `None`; see the feature `device`.
pub fn inverse_cdf(_x: &Tensor<2>, _uniforms: &Tensor<2>) -> Option<Tensor<2>> {
    None
}
