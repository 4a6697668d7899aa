//! Fused elementwise and normalisation kernels for burn's CPU backend, with gradients.
//!
//! Every function takes and gives ordinary tensors and differentiates like any other operation. On the CPU backend (flex),
//! with or without autodiff, f32 tensors go through the kernels here, which are vectorised and run on rayon's threads; any
//! other device or dtype goes through the same operation composed of burn's own.
//!
//! Results do not depend on the number of threads, and an image's part of a result does not depend on the other images of
//! its batch: a row or plane is reduced by one task in a fixed order, and sums over a batch run in the batch's order.
//!
//! Like burn's own operations, these panic when shapes do not fit together.

#![deny(unsafe_code)]

pub mod allocator;
mod composed;
mod raw;

use burn::tensor::Tensor;

/// SiLU, `x · sigmoid(x)`, elementwise.
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    composed::silu(x)
}

/// GELU in its tanh form, `x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³)))`, elementwise.
pub fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    composed::gelu_tanh(x)
}

/// Softmax over the last dimension. Entries of -inf get probability 0; a row of nothing but -inf gives NaN.
pub fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    composed::softmax(x)
}

/// Layer norm over the last dimension of x `[batch, length, channels]` without weight and bias:
/// `(x - mean) / √(variance + eps)`, with the variance over all channels (not Bessel-corrected).
pub fn layer_norm(x: Tensor<3>, eps: f64) -> Tensor<3> {
    composed::layer_norm(x, eps)
}

/// `layer_norm(x) · (1 + scale) + shift` for x `[batch, length, channels]`, scale and shift `[batch, 1, channels]`: the
/// modulation of adaptive layer norm.
pub fn layer_norm_modulate(x: Tensor<3>, scale: Tensor<3>, shift: Tensor<3>, eps: f64) -> Tensor<3> {
    composed::layer_norm_modulate(x, scale, shift, eps)
}

/// Group norm of x `[batch, channels, height, width]` with weight and bias `[channels]`; `groups` divides the channels.
pub fn group_norm(x: Tensor<4>, weight: Tensor<1>, bias: Tensor<1>, groups: usize, eps: f64) -> Tensor<4> {
    composed::group_norm(x, weight, bias, groups, eps)
}

/// `silu(group_norm(x))` in one pass over each group; shapes as for [`group_norm`].
pub fn group_norm_silu(
    x: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    groups: usize,
    eps: f64,
) -> Tensor<4> {
    composed::group_norm_silu(x, weight, bias, groups, eps)
}

/// `x + gate · y` for x and y `[batch, length, channels]`, gate `[batch, 1, channels]`.
pub fn gated_residual(x: Tensor<3>, gate: Tensor<3>, y: Tensor<3>) -> Tensor<3> {
    composed::gated_residual(x, gate, y)
}

/// 3×3 convolution with stride 1 and one row and column of zero padding on each side: x `[batch, channels, height, width]`,
/// weight `[out, channels, 3, 3]`, bias `[out]`, to `[batch, out, height, width]`.
pub fn conv2d_3x3(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    composed::conv2d_3x3(x, weight, bias)
}
