//! The same operations composed of burn's own, and softmax of ours where there is one: used on every device,
//! dtype and layout that has no kernel here, and as the reference in the kernels' tests.

use burn::tensor::{DType, Int, Tensor, activation, module, ops::ConvOptions};

use crate::{fixed::mean_last, heads::LEAST_SQUARE, in_type, product, softmax_in, widened};

/// √(2/π) of the tanh form of GELU.
const SQRT_2_OVER_PI: f64 = core::f64::consts::FRAC_2_SQRT_PI * core::f64::consts::FRAC_1_SQRT_2;

pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::silu(x)
}

pub fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    // x³ as products: `powf` is slow, and NaN for negative x on some devices.
    let cube = x.clone() * x.clone() * x.clone();
    let inner = (x.clone() + cube * 0.044715) * SQRT_2_OVER_PI;
    (inner.tanh() + 1.0) * x * 0.5
}

pub fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::softmax(x, D - 1)
}

pub fn layer_norm(x: Tensor<3>, eps: f64) -> Tensor<3> {
    let centred = x.clone() - x.mean_dim(2);
    let variance = (centred.clone() * centred.clone()).mean_dim(2);
    centred / (variance + eps).sqrt()
}

pub fn layer_norm_modulate(x: Tensor<3>, scale: Tensor<3>, shift: Tensor<3>, eps: f64) -> Tensor<3> {
    layer_norm(x, eps) * (scale + 1.0) + shift
}

pub fn rms_norm_modulate(x: Tensor<3>, scale: Tensor<3>, shift: Tensor<3>, eps: f64) -> Tensor<3> {
    let size = mean_last(x.clone() * x.clone());
    x / (size + eps).sqrt() * scale + shift
}

pub fn group_norm(x: Tensor<4>, weight: Tensor<1>, bias: Tensor<1>, groups: usize, eps: f64) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let grouped = x.reshape([batch, groups, channels / groups * height * width]);
    let normal = layer_norm(grouped, eps).reshape([batch, channels, height, width]);
    normal * weight.reshape([1, channels, 1, 1]) + bias.reshape([1, channels, 1, 1])
}

pub fn group_norm_silu(
    x: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    groups: usize,
    eps: f64,
) -> Tensor<4> {
    silu(group_norm(x, weight, bias, groups, eps))
}

pub fn gated_residual(x: Tensor<3>, gate: Tensor<3>, y: Tensor<3>) -> Tensor<3> {
    x + gate * y
}

pub fn weighted_sum<const D: usize>(x: Tensor<D>, a: f64, y: Tensor<D>, b: f64) -> Tensor<D> {
    x.mul_scalar(a) + y.mul_scalar(b)
}

pub fn extrapolate<const D: usize>(x: Tensor<D>, y: Tensor<D>, z: Tensor<D>, w: f64) -> Tensor<D> {
    x + (y - z).mul_scalar(w)
}

pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    activation::log_softmax(logits, 1).gather(1, targets.unsqueeze_dim(1)).neg().squeeze_dim(1)
}

pub fn unit_channels(x: Tensor<4>, eps: f64) -> Tensor<4> {
    let length = ((x.clone() * x.clone()).sum_dim(1) + eps).sqrt();
    x / length
}

/// With stride 1 and zeros around, for a weight of odd size.
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    let around = weight.dims()[2] / 2;
    module::conv2d(x, weight, bias, ConvOptions::new([1, 1], [around, around], [1, 1], 1))
}

/// The nearest bf16, as f32; in the backward pass gradients are rounded likewise.
fn rounded<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    x.cast(DType::BF16).cast(DType::F32)
}

/// Factors, the result and, in the backward pass, its gradient are rounded; products and sums are f32.
pub fn conv2d_3x3_rounded(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    let [channels, ..] = weight.dims();
    let out = rounded(conv2d(rounded(x), rounded(weight), None));
    match bias {
        Some(bias) => out + bias.reshape([1, channels, 1, 1]),
        None => out,
    }
}

pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let product = x.matmul(weight);
    match bias {
        Some(bias) => product + bias.unsqueeze(),
        None => product,
    }
}

/// Factors are bf16, in the backward pass too, and so are the results of products.
pub fn linear_rounded(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let product = x.cast(DType::BF16).matmul(weight.cast(DType::BF16)).cast(DType::F32);
    match bias {
        Some(bias) => product + bias.unsqueeze(),
        None => product,
    }
}

pub fn odd_polynomial(x: Tensor<2>, [a, b, c]: [f64; 3]) -> Tensor<2> {
    let square = x.clone().matmul(x.clone().transpose());
    let even = square.clone().matmul(square.clone()) * c + square * b;
    even.matmul(x.clone()) + x * a
}

pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, mask: Option<Tensor<3>>) -> Tensor<4> {
    let scores = product(q.swap_dims(1, 2), k.permute([0, 2, 3, 1]));
    let scores = match mask {
        Some(mask) => scores + mask.unsqueeze_dim::<4>(1),
        None => scores,
    };
    softmax_in(scores, v.dtype()).matmul(v.swap_dims(1, 2)).swap_dims(1, 2)
}

/// Factors are bf16, in the backward pass too, and so are the results of products; the softmax is f32.
pub fn attention_rounded(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, mask: Option<Tensor<3>>) -> Tensor<4> {
    let [q, k, v] = [q, k, v].map(|x| x.cast(DType::BF16));
    let scores = q.swap_dims(1, 2).matmul(k.permute([0, 2, 3, 1])).cast(DType::F32);
    let scores = match mask {
        Some(mask) => scores + mask.unsqueeze_dim::<4>(1),
        None => scores,
    };
    let weights = softmax_in(scores, DType::BF16);
    weights.matmul(v.swap_dims(1, 2)).swap_dims(1, 2).cast(DType::F32)
}

pub fn unit<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let square = (x.clone() * x.clone()).sum_dim(D - 1);
    // Clamped before the root, so that its gradient stays finite at zero.
    x / square.clamp_min(LEAST_SQUARE).sqrt()
}

pub fn heads(x: Tensor<3>, scale: Tensor<1>, unit: bool) -> [Tensor<4>; 3] {
    let ([batch, positions, channels], [heads]) = (x.dims(), scale.dims());
    let channels = channels / 3;
    let part = |i: usize| {
        let part = x.clone().slice_dim(2, i * channels..(i + 1) * channels);
        part.reshape([batch, positions, heads, channels / heads])
    };
    let [queries, keys] = [part(0), part(1)].map(|x| if unit { self::unit(x) } else { x });
    [queries * scale.reshape([1, 1, heads, 1]), keys, part(2)]
}

pub fn rotate(x: Tensor<4>, turns: Tensor<2>) -> Tensor<4> {
    let dtype = x.dtype();
    let shape @ [batch, positions, heads, width] = x.dims();
    let pairs: Tensor<5> = x.reshape([batch, positions, heads, width / 2, 2]);
    let turns: Tensor<5> = turns.reshape([1, positions, 1, width / 2, 2]);
    let part = |x: &Tensor<5>, i: usize| widened(x.clone().slice_dim(4, i..i + 1));
    let (a, b, cosine, sine) = (part(&pairs, 0), part(&pairs, 1), part(&turns, 0), part(&turns, 1));
    let first = a.clone() * cosine.clone() - b.clone() * sine.clone();
    let both = [first, a * sine + b * cosine].map(|x| in_type(x, dtype));
    Tensor::cat(both.into(), 4).reshape(shape)
}

pub fn rotate_halves(x: Tensor<4>, turns: Tensor<4>) -> Tensor<4> {
    let [images, positions, _, width] = turns.dims();
    let part = |i: usize| turns.clone().slice_dim(2, i..i + 1).reshape([images, positions, 1, width]);
    let low = x.clone().slice_dim(3, 0..width / 2);
    let high = x.clone().slice_dim(3, width / 2..width);
    let dtype = x.dtype();
    let turned = Tensor::cat(vec![-high, low], 3);
    let [x, turned] = [x, turned].map(widened);
    in_type(x * part(0) + turned * part(1), dtype)
}
