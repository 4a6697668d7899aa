//! Fused elementwise and normalisation kernels for burn's CPU backend, with gradients.
//!
//! Every function takes and returns ordinary tensors and differentiates like any other operation. On the CPU
//! backend (flex), with or without autodiff, f32 tensors go through the kernels here, which are vectorised
//! and run on rayon's threads; on any other device or dtype the same operation is composed of burn's own.
//! For graphics processors there are a few kernels, in [`device`], and for LibTorch its own operations, in
//! [`libtorch`].
//!
//! Two modules work on plain numbers instead of tensors: [`nhwc`], convolutional networks at inference, and
//! [`categorical`], draws from logits. [`read`] returns the numbers of a tensor without a copy.
//!
//! Results do not depend on the number of threads, and an image's part of a result does not depend on the
//! other images of its batch: each row or plane is reduced by one task in a fixed order, and sums over a
//! batch run in the batch's order.
//!
//! Like burn's own operations, these panic when shapes do not fit together.

#![deny(unsafe_code)]
// Inputs come back where there is no kernel for them, and what a kernel for devices is told are its arguments.
#![allow(clippy::result_large_err, clippy::too_many_arguments)]

mod activation;
pub mod allocator;
mod attention;
pub mod categorical;
mod combine;
mod composed;
mod conv;
mod cross_entropy;
pub mod device;
mod elementwise;
mod extension;
mod fixed;
mod fma;
mod gated;
mod group_norm;
mod heads;
mod layer_norm;
pub mod libtorch;
mod limit;
mod linear;
mod math;
pub mod nhwc;
mod odd_polynomial;
pub mod packed;
mod precision;
mod product;
mod raw;
mod reduce;
mod rms_norm;
mod rotate;
mod rotate_halves;
mod route;
mod rows;
mod softmax;
mod tiles;
mod unit;
mod unit_channels;

#[cfg(test)]
mod levels;
#[cfg(test)]
mod testing;

use burn::{
    backend::TensorMetadata,
    tensor::{DType, Int, Tensor},
};

use elementwise::Elementwise;
pub use extension::Values;
use extension::apply;
pub use fixed::{exp, log_softmax, matmul, mean_last, sum_last};
use precision::Precision;
pub use product::rounds;
pub use route::{arithmetic, check_route, is_fixed, route, skip_test};

/// Whether this crate was compiled with its own profile (no debug assertions) and not as a dependency under a
/// plain `dev` profile. Profiles are not inherited, and without it the kernels are a hundred times slower.
pub const fn is_optimised() -> bool {
    !cfg!(debug_assertions)
}

/// SiLU, `x · sigmoid(x)`, elementwise.
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    apply(Elementwise::Silu, [x.into_dispatch()])
        .or_else(libtorch::silu)
        .unwrap_or_else(|[x]| composed::silu(Tensor::from_dispatch(x)))
}

/// `silu(gate) ⊙ x`, elementwise, in one pass over memory: the gate of SwiGLU (Shazeer 2020, arXiv 2002.05202). Rounded
/// after SiLU, as in one operation after the other.
pub fn silu_gate<const D: usize>(gate: Tensor<D>, x: Tensor<D>) -> Tensor<D> {
    if gate.dims() != x.dims() {
        return silu(gate) * x;
    }
    let inputs = [gate.into_dispatch(), x.into_dispatch()];
    extension::outside(inputs, elementwise::silu_gate).unwrap_or_else(|inputs| {
        let [gate, x] = inputs.map(Tensor::from_dispatch);
        silu(gate) * x
    })
}

/// GELU in its tanh form, `x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³)))`, elementwise.
pub fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    apply(Elementwise::GeluTanh, [x.into_dispatch()])
        .or_else(libtorch::gelu_tanh)
        .unwrap_or_else(|[x]| composed::gelu_tanh(Tensor::from_dispatch(x)))
}

/// `a·x + b·y`, elementwise, in one pass over memory; both products are rounded before they are added, so that the
/// result is that of one operation after the other. Shapes that broadcast work too, more slowly.
pub fn weighted_sum<const D: usize>(x: Tensor<D>, a: f64, y: Tensor<D>, b: f64) -> Tensor<D> {
    if x.dims() != y.dims() {
        return composed::weighted_sum(x, a, y, b);
    }
    let operation = combine::WeightedSum { a: a as f32, b: b as f32 };
    apply(operation, [x.into_dispatch(), y.into_dispatch()]).unwrap_or_else(|inputs| {
        let [x, y] = inputs.map(Tensor::from_dispatch);
        composed::weighted_sum(x, a, y, b)
    })
}

/// `x + (y − z)·w`, elementwise, in one pass over memory, rounded after every step. Shapes that broadcast work
/// too, more slowly.
pub fn extrapolate<const D: usize>(x: Tensor<D>, y: Tensor<D>, z: Tensor<D>, w: f64) -> Tensor<D> {
    if x.dims() != y.dims() || x.dims() != z.dims() {
        return composed::extrapolate(x, y, z, w);
    }
    let inputs = [x, y, z].map(Tensor::into_dispatch);
    apply(combine::Extrapolate { w: w as f32 }, inputs).unwrap_or_else(|inputs| {
        let [x, y, z] = inputs.map(Tensor::from_dispatch);
        composed::extrapolate(x, y, z, w)
    })
}

/// Softmax over the last dimension. Entries of -inf get probability 0; a row of only -inf gives NaN.
pub fn softmax<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let length = x.dims()[D - 1];
    if length == 0 {
        return x;
    }
    apply(softmax::Softmax { length }, [x.into_dispatch()])
        .or_else(|[x]| device::softmax(x, DType::F32))
        .unwrap_or_else(|x| composed::softmax(Tensor::from_dispatch(x)))
}

/// [`softmax`] of f32, rounded to a type of floats.
pub fn softmax_in<const D: usize>(x: Tensor<D>, to: DType) -> Tensor<D> {
    if x.dims().contains(&0) {
        return in_type(composed::softmax(x), to);
    }
    if !is_half(to) {
        return in_type(softmax(x), to);
    }
    device::softmax(x.into_dispatch(), to).unwrap_or_else(|x| in_type(softmax(Tensor::from_dispatch(x)), to))
}

/// Whether this is one of the two types of floats of 16 bits.
pub fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16)
}

/// Halves as f32; other tensors as they are.
fn widened<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if is_half(x.dtype()) { x.cast(DType::F32) } else { x }
}

/// The tensor in another type of floats; itself if it has this one.
pub fn in_type<const D: usize>(x: Tensor<D>, dtype: DType) -> Tensor<D> {
    if x.dtype() == dtype { x } else { x.cast(dtype) }
}

/// `a·b` of the last two dimensions, whose sums and result are f32 even if the factors are of a narrower type. The
/// other dimensions are equal.
pub fn product<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    if !is_half(a.dtype()) {
        return matmul(a, b);
    }
    let empty = a.dims().contains(&0) || b.dims().contains(&0);
    let factors = [a.into_dispatch(), b.into_dispatch()];
    let done = if empty { Err(factors) } else { device::product(factors) };
    done.unwrap_or_else(|factors| {
        let [a, b] = factors.map(|x| widened(Tensor::from_dispatch(x)));
        a.matmul(b)
    })
}

/// The cross-entropy in nats of every row of logits `[rows, classes]` with its target, `[rows]` to `[rows]`.
/// An infinite logit of another class contributes nothing.
///
/// # Panics
/// If the numbers of targets and rows differ, or, on the CPU, a target is not a class.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let [rows, classes] = logits.dims();
    assert!(targets.dims() == [rows], "cross-entropy of {rows} rows with {:?} targets", targets.dims());
    if rows * classes == 0 || !extension::on_cpu(&logits) {
        return composed::cross_entropy(logits, targets);
    }
    let numbers = targets.clone().into_data();
    let class = |target: i64| usize::try_from(target).ok().filter(|&target| target < classes);
    let numbers = numbers.iter::<i64>().map(|target| {
        class(target).unwrap_or_else(|| panic!("cross-entropy with class {target} of {classes}"))
    });
    let operation = cross_entropy::CrossEntropy { targets: numbers.collect() };
    apply(operation, [logits.into_dispatch()])
        .unwrap_or_else(|[logits]| composed::cross_entropy(Tensor::from_dispatch(logits), targets))
}

/// `x / max(‖x‖, 1e-12)` over the last dimension.
pub fn unit<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let length = x.dims()[D - 1];
    if length == 0 {
        return x;
    }
    apply(unit::Unit { length }, [x.into_dispatch()])
        .or_else(libtorch::unit)
        .unwrap_or_else(|[x]| composed::unit(Tensor::from_dispatch(x)))
}

/// `x / √(Σ over channels of x² + eps)` at every pixel of x `[batch, channels, height, width]`.
pub fn unit_channels(x: Tensor<4>, eps: f64) -> Tensor<4> {
    if x.dims().contains(&0) {
        return x;
    }
    apply(unit_channels::UnitChannels { eps: eps as f32 }, [x.into_dispatch()])
        .unwrap_or_else(|[x]| composed::unit_channels(Tensor::from_dispatch(x), eps))
}

/// Layer norm over the last dimension of x `[batch, length, channels]` without weight and bias:
/// `(x - mean) / √(variance + eps)`, with the variance over all channels (not Bessel-corrected).
pub fn layer_norm(x: Tensor<3>, eps: f64) -> Tensor<3> {
    if x.dims()[2] == 0 {
        return x;
    }
    apply(layer_norm::LayerNorm { eps: eps as f32 }, [x.into_dispatch()])
        .or_else(|inputs| libtorch::layer_norm(inputs, eps))
        .unwrap_or_else(|[x]| composed::layer_norm(Tensor::from_dispatch(x), eps))
}

/// `layer_norm(x) · (1 + scale) + shift` for x `[batch, length, channels]`, scale and shift `[batch, 1,
/// channels]`: the modulation of adaptive layer norm. Other shapes of scale and shift that broadcast to x's
/// work too, more slowly.
pub fn layer_norm_modulate(x: Tensor<3>, scale: Tensor<3>, shift: Tensor<3>, eps: f64) -> Tensor<3> {
    if !(per_image(&x, &scale) && per_image(&x, &shift)) {
        return layer_norm(x, eps) * (scale + 1.0) + shift;
    }
    let inputs = [x.into_dispatch(), scale.into_dispatch(), shift.into_dispatch()];
    let done = apply(layer_norm::Modulate { eps: eps as f32 }, inputs);
    let done = done.or_else(|inputs| device::norm(inputs, eps, true, DType::F32));
    done.or_else(|inputs| libtorch::norm(inputs, eps)).unwrap_or_else(|inputs| {
        let [x, scale, shift] = inputs.map(Tensor::from_dispatch);
        composed::layer_norm_modulate(x, scale, shift, eps)
    })
}

/// [`layer_norm_modulate`] of f32, rounded to a type of floats, as the factor of a product.
pub fn layer_norm_modulate_in(
    x: Tensor<3>,
    scale: Tensor<3>,
    shift: Tensor<3>,
    eps: f64,
    to: DType,
) -> Tensor<3> {
    rounded_norm([x, scale, shift], eps, to, true)
}

/// [`rms_norm_modulate`] of f32, rounded to a type of floats, as the factor of a product.
pub fn rms_norm_modulate_in(
    x: Tensor<3>,
    scale: Tensor<3>,
    shift: Tensor<3>,
    eps: f64,
    to: DType,
) -> Tensor<3> {
    rounded_norm([x, scale, shift], eps, to, false)
}

fn rounded_norm(inputs: [Tensor<3>; 3], eps: f64, to: DType, centred: bool) -> Tensor<3> {
    let [x, scale, shift] = &inputs;
    let fits = is_half(to) && per_image(x, scale) && per_image(x, shift);
    let inputs = inputs.map(Tensor::into_dispatch);
    let done = if fits { device::norm(inputs, eps, centred, to) } else { Err(inputs) };
    done.unwrap_or_else(|inputs| {
        let [x, scale, shift] = inputs.map(Tensor::from_dispatch);
        let norm = if centred { layer_norm_modulate } else { rms_norm_modulate };
        in_type(norm(x, scale, shift, eps), to)
    })
}

/// `x/√(mean of x² + eps) · scale + shift` for x `[batch, length, channels]`, scale and shift `[batch, 1,
/// channels]`: a root-mean-square norm, with the modulation of an adaptive norm. Other shapes of scale and
/// shift that broadcast to x's work too, more slowly.
pub fn rms_norm_modulate(x: Tensor<3>, scale: Tensor<3>, shift: Tensor<3>, eps: f64) -> Tensor<3> {
    if !(per_image(&x, &scale) && per_image(&x, &shift)) || x.dims().contains(&0) {
        return composed::rms_norm_modulate(x, scale, shift, eps);
    }
    let inputs = [x.into_dispatch(), scale.into_dispatch(), shift.into_dispatch()];
    let done = extension::outside(inputs, |inputs| rms_norm::modulated(inputs, eps as f32));
    done.or_else(|inputs| device::norm(inputs, eps, false, DType::F32)).unwrap_or_else(|inputs| {
        let [x, scale, shift] = inputs.map(Tensor::from_dispatch);
        composed::rms_norm_modulate(x, scale, shift, eps)
    })
}

/// Group norm of x `[batch, channels, height, width]` with weight and bias `[channels]`; `groups` divides the
/// channels.
pub fn group_norm(x: Tensor<4>, weight: Tensor<1>, bias: Tensor<1>, groups: usize, eps: f64) -> Tensor<4> {
    group_norm_in(x, weight, bias, groups, eps, false, DType::F32)
}

/// `silu(group_norm(x))` in one pass over each group; shapes as for [`group_norm`].
pub fn group_norm_silu(
    x: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    groups: usize,
    eps: f64,
) -> Tensor<4> {
    group_norm_in(x, weight, bias, groups, eps, true, DType::F32)
}

/// [`group_norm`] of x of any type of floats, then [`silu`] if asked for, with everything in between in f32, rounded to
/// the type `to`.
pub fn group_norm_in(
    x: Tensor<4>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    groups: usize,
    eps: f64,
    silu: bool,
    to: DType,
) -> Tensor<4> {
    let [_, channels, height, width] = x.dims();
    assert!(
        groups > 0 && channels % groups == 0,
        "group norm of {channels} channels in {groups} groups: choose a number of groups that divides the channels"
    );
    assert!(
        weight.dims() == [channels] && bias.dims() == [channels],
        "group norm of {channels} channels: weight {:?} and bias {:?} must have as many",
        weight.dims(),
        bias.dims()
    );
    if channels * height * width == 0 {
        return in_type(x, to);
    }
    let operation = group_norm::GroupNorm { groups, eps: eps as f32, silu };
    let inputs = [x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()];
    let done = if is_half(to) { Err(inputs) } else { apply(operation, inputs) };
    let done = done.or_else(|inputs| device::group_norm(inputs, groups, eps, silu, to));
    let done = if is_half(to) {
        done
    } else {
        done.or_else(|inputs| libtorch::group_norm(inputs, groups, eps, silu))
    };
    done.unwrap_or_else(|[x, weight, bias]| {
        let (x, weight, bias) =
            (Tensor::from_dispatch(x), Tensor::from_dispatch(weight), Tensor::from_dispatch(bias));
        if is_half(x.dtype()) || is_half(to) {
            return in_type(group_norm_in(widened(x), weight, bias, groups, eps, silu, DType::F32), to);
        }
        let route = if silu { composed::group_norm_silu } else { composed::group_norm };
        route(x, weight, bias, groups, eps)
    })
}

/// `x + gate · y` for x and y `[batch, length, channels]`, gate `[batch, 1, channels]`. Other shapes that
/// broadcast to x's work too, more slowly.
pub fn gated_residual(x: Tensor<3>, gate: Tensor<3>, y: Tensor<3>) -> Tensor<3> {
    if !(per_image(&x, &gate) && x.dims() == y.dims()) {
        return composed::gated_residual(x, gate, y);
    }
    let inputs = [x.into_dispatch(), gate.into_dispatch(), y.into_dispatch()];
    apply(gated::GatedResidual, inputs).or_else(libtorch::gated_residual).unwrap_or_else(|inputs| {
        let [x, gate, y] = inputs.map(Tensor::from_dispatch);
        composed::gated_residual(x, gate, y)
    })
}

/// `x · weight + bias` for x `[rows, inner]`, weight `[inner, out]`, bias `[out]`, to `[rows, out]`.
///
/// On the CPU backend, a row's result is the same, bit for bit, whatever the other rows are.
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    linear_in(Precision::Whole, x, weight, bias)
}

/// As [`linear`], with x and the weight (in the backward pass also the gradient) rounded to bfloat16 for the
/// product; sums are f32. This is mixed-precision training (Micikevicius and others 2018) restricted to
/// linear layers.
///
/// On devices other than the CPU that compute in bfloat16, products are of tensors of that type and their results are
/// rounded to it, too, as PyTorch's autocast does. Nothing is rounded on CPUs that cannot ([`rounds`]).
pub fn linear_rounded(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    if rounds_on_device(&x) {
        return composed::linear_rounded(x, weight, bias);
    }
    linear_in(if rounds() { Precision::Rounded } else { Precision::Whole }, x, weight, bias)
}

fn linear_in(precision: Precision, x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let ([rows, inner], [depth, outputs]) = (x.dims(), weight.dims());
    assert!(
        inner == depth && bias.as_ref().is_none_or(|bias| bias.dims() == [outputs]),
        "linear layer on {inner} channels: the weight is {depth} by {outputs}, and a bias has {outputs}"
    );
    // A bias that stands for none is for the kernel only: on another device it would be a launch.
    if rows * inner * outputs == 0 || !extension::on_cpu(&x) {
        return composed::linear(x, weight, bias);
    }
    let with_bias = bias.is_some();
    let bias = bias.unwrap_or_else(|| Tensor::zeros([outputs], (&x.device(), x.dtype())));
    let inputs = [x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()];
    apply(linear::Linear(precision), inputs).unwrap_or_else(|[x, weight, bias]| {
        let (x, weight) = (Tensor::from_dispatch(x), Tensor::from_dispatch(weight));
        composed::linear(x, weight, with_bias.then(|| Tensor::from_dispatch(bias)))
    })
}

/// The odd polynomial `(a + b·x·xᵀ + c·(x·xᵀ)²)·x` of x `[rows, columns]`, which maps every singular value s
/// to a·s + b·s³ + c·s⁵ and keeps the singular vectors; cheaper with fewer rows than columns. On the
/// CPU factors of products are rounded as in [`linear_rounded`], except where gradients are tracked.
pub fn odd_polynomial_rounded(x: Tensor<2>, [a, b, c]: [f64; 3]) -> Tensor<2> {
    let shape = x.dims();
    if shape.contains(&0) {
        return x;
    }
    let precision = if rounds() { Precision::Rounded } else { Precision::Whole };
    let numbers = [a, b, c].map(|coefficient| coefficient as f32);
    let forward = |[x]: &[burn::backend::flex::FlexTensor; 1]| {
        extension::tensor(odd_polynomial::forward(precision, extension::values(x), shape, numbers), shape)
    };
    extension::outside([x.into_dispatch()], forward)
        .unwrap_or_else(|[x]| composed::odd_polynomial(Tensor::from_dispatch(x), [a, b, c]))
}

/// Whether products of this tensor with rounded factors are composed of casts: on devices other than the CPU that
/// compute in bfloat16.
fn rounds_on_device<const D: usize>(x: &Tensor<D>) -> bool {
    extension::is_elsewhere(x) && x.device().supports_dtype(DType::BF16)
}

/// Attention, `softmax(q·kᵀ + mask)·v` for every image and head: q `[batch, queries, heads, width]`, k and v
/// `[batch, keys, heads, width]`, mask `[batch, queries, keys]`, to `[batch, queries, heads, width]`. The
/// mask may be shared by all images (`[1, queries, keys]`) or by all queries of an image (`[batch, 1, keys]`,
/// as for a text's padding). It is a constant and gets no gradient.
///
/// Of tensors of a narrower type than f32 the scores, the mask and the softmax are f32; its weights and the result have
/// that type.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, mask: Option<Tensor<3>>) -> Tensor<4> {
    attention_in(Precision::Whole, q, k, v, mask)
}

/// As [`attention`], with all factors rounded to bfloat16, here and in the gradients; sums and the softmax
/// are f32. Compare [`linear_rounded`] and [`linear`].
pub fn attention_rounded(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, mask: Option<Tensor<3>>) -> Tensor<4> {
    if rounds_on_device(&q) {
        return composed::attention_rounded(q, k, v, mask);
    }
    attention_in(if rounds() { Precision::Rounded } else { Precision::Whole }, q, k, v, mask)
}

fn attention_in(
    precision: Precision,
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    mask: Option<Tensor<3>>,
) -> Tensor<4> {
    let ([batch, queries, heads, width], [_, keys, ..]) = (q.dims(), k.dims());
    assert!(
        k.dims() == [batch, keys, heads, width]
            && v.dims() == k.dims()
            && mask.as_ref().is_none_or(|mask| {
                let [images, rows, columns] = mask.dims();
                [1, batch].contains(&images) && [1, queries].contains(&rows) && columns == keys
            }),
        "attention of {:?} over keys {:?} and values {:?}: all but the second size must agree, and a mask is {batch} or 1 by {queries} or 1 by {keys}",
        q.dims(),
        k.dims(),
        v.dims()
    );
    if batch * queries * keys * heads * width == 0 {
        return composed::attention(q, k, v, mask);
    }
    if !extension::on_cpu(&q) {
        let inputs = [q, k, v].map(Tensor::into_dispatch);
        return libtorch::attention(inputs, mask).unwrap_or_else(|(inputs, mask)| {
            let [q, k, v] = inputs.map(Tensor::from_dispatch);
            composed::attention(q, k, v, mask)
        });
    }
    let masked = mask.is_some();
    let mask = mask.unwrap_or_else(|| Tensor::zeros([0, 0, 0], (&q.device(), q.dtype())));
    let inputs = [q.into_dispatch(), k.into_dispatch(), v.into_dispatch(), mask.into_dispatch()];
    apply(attention::Attention(precision), inputs).unwrap_or_else(|[q, k, v, mask]| {
        let [q, k, v] = [q, k, v].map(Tensor::from_dispatch);
        composed::attention(q, k, v, masked.then(|| Tensor::from_dispatch(mask)))
    })
}

/// [`attention`] without a mask over keys and values that lie in several tensors `[batch, length, heads,
/// width]`, one after the other along their length, as in a cache that grows: they are not copied into one
/// where that can be avoided.
pub fn attention_over(q: Tensor<4>, keys: &[Tensor<4>], values: &[Tensor<4>]) -> Tensor<4> {
    let [batch, queries, heads, width] = q.dims();
    let fits = |(k, v): (&Tensor<4>, &Tensor<4>)| {
        k.dims() == v.dims() && k.dims() == [batch, k.dims()[1], heads, width] && k.dims()[1] > 0
    };
    if keys.len() > 1
        && keys.len() == values.len()
        && batch * queries * heads * width > 0
        && keys.iter().zip(values).all(fits)
        && let Some(out) = over_segments(&q, keys, values)
    {
        return out;
    }
    let joined = |parts: &[Tensor<4>]| match parts {
        [one] => one.clone(),
        _ => Tensor::cat(parts.to_vec(), 1),
    };
    attention(q, joined(keys), joined(values), None)
}

/// The same for f32 tensors of the CPU backend outside autodiff; `None` for others, or if joining them is
/// faster.
fn over_segments(q: &Tensor<4>, keys: &[Tensor<4>], values: &[Tensor<4>]) -> Option<Tensor<4>> {
    let [_, queries, heads, width] = q.dims();
    let read = |x: &Tensor<4>| extension::read(x.clone().into_dispatch());
    let parts: Option<Vec<_>> =
        keys.iter().zip(values).map(|(k, v)| Some((read(k)?, read(v)?, k.dims()[1]))).collect();
    let parts = parts?;
    let segments: Vec<_> = parts
        .iter()
        .map(|(keys, values, length)| attention::Segment { keys, values, length: *length })
        .collect();
    let out = attention::over_segments(&read(q)?, &segments, [queries, heads, width])?;
    extension::outside([q.clone().into_dispatch()], |[q]| extension::tensor(out, q.shape())).ok()
}

/// Queries, keys and values of every head, `[batch, positions, heads, width]` each, from their concatenated
/// projections x `[batch, positions, 3·heads·width]`, to which `bias` is added, if any, `[3·heads·width]`.
/// Queries are multiplied by their head's `scale`, `[heads]`. With `unit`, queries and keys are first divided
/// by their norms (at least 1e-12). x may be of a narrower type than f32, which the results then have, too; bias and
/// scale are f32.
pub fn heads(x: Tensor<3>, bias: Option<Tensor<1>>, scale: Tensor<1>, unit: bool) -> [Tensor<4>; 3] {
    let ([batch, positions, channels], [heads]) = (x.dims(), scale.dims());
    assert!(
        heads > 0
            && channels % (3 * heads) == 0
            && bias.as_ref().is_none_or(|bias| bias.dims() == [channels]),
        "{channels} channels are not queries, keys and values of {heads} heads, with as large a bias"
    );
    let dtype = x.dtype();
    let (x, scale) = match bias {
        None => (x, scale),
        Some(_) if batch * positions * channels == 0 => (x, scale),
        Some(bias) => {
            let inputs = [x.into_dispatch(), bias.into_dispatch(), scale.into_dispatch()];
            match device::heads(inputs, unit) {
                Ok(parts) => return parts,
                Err([x, bias, scale]) => {
                    let bias = Tensor::<1>::from_dispatch(bias);
                    let x = widened(Tensor::<3>::from_dispatch(x));
                    (x + bias.unsqueeze(), Tensor::from_dispatch(scale))
                }
            }
        }
    };
    if is_half(dtype) {
        return composed::heads(widened(x), scale, unit).map(|part| in_type(part, dtype));
    }
    if batch * positions * channels == 0 {
        return composed::heads(x, scale, unit);
    }
    let part = |part: heads::Part| {
        let operation = heads::Heads { part, unit };
        let inputs = [x.clone().into_dispatch(), scale.clone().into_dispatch()];
        extension::outside(inputs, |inputs| operation.apply(inputs)).ok()
    };
    match (part(heads::Part::Queries), part(heads::Part::Keys), part(heads::Part::Values)) {
        (Some(queries), Some(keys), Some(values)) => [queries, keys, values],
        _ => composed::heads(x, scale, unit),
    }
}

/// Rotary position embedding: every pair (a, b) of neighbouring channels becomes (a·cos − b·sin, a·sin +
/// b·cos); x `[batch, positions, heads, width]`, turns `[positions, width]` with the pair's cosine and sine
/// in its place. Turns are constants and get no gradient. x may be of a narrower type than f32, which the result then
/// has, too; turns are f32.
pub fn rotate(x: Tensor<4>, turns: Tensor<2>) -> Tensor<4> {
    let [batch, positions, heads, width] = x.dims();
    assert!(
        turns.dims() == [positions, width] && width.is_multiple_of(2),
        "{positions} positions of heads of {width} channels are turned by as many pairs, not by {:?}",
        turns.dims()
    );
    if batch * positions * heads * width == 0 {
        return x;
    }
    apply(rotate::Rotate, [x.into_dispatch(), turns.into_dispatch()])
        .unwrap_or_else(|[x, turns]| composed::rotate(Tensor::from_dispatch(x), Tensor::from_dispatch(turns)))
}

/// Rotary position embedding over the halves of a head: `x·cos + (−x_high, x_low)·sin` for x `[batch,
/// positions, heads, width]`, turns `[batch or 1, positions, 2, width]`, the cosines of every channel before
/// the sines. Where the two channels of a pair have different angles it is not a rotation. Turns are constants. Types
/// are as in [`rotate`].
pub fn rotate_halves(x: Tensor<4>, turns: Tensor<4>) -> Tensor<4> {
    let [batch, positions, heads, width] = x.dims();
    let [images, ..] = turns.dims();
    assert!(
        turns.dims() == [images, positions, 2, width]
            && [1, batch].contains(&images)
            && width.is_multiple_of(2),
        "{positions} positions of heads of {width} channels in {batch} images are not turned by {:?}",
        turns.dims()
    );
    if batch * positions * heads * width == 0 {
        return x;
    }
    extension::outside([x.into_dispatch(), turns.into_dispatch()], rotate_halves::turned).unwrap_or_else(
        |[x, turns]| composed::rotate_halves(Tensor::from_dispatch(x), Tensor::from_dispatch(turns)),
    )
}

/// Convolution of x `[batch, channels, height, width]` with weight `[out, channels, size, size]` and bias `[out]`, of an
/// odd size, with stride 1 and zeros around, to `[batch, out, height, width]`. All are of one type of floats; sums are
/// f32.
pub fn conv2d_of_halves(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
    let ([_, channels, ..], [outputs, _, size, _]) = (x.dims(), weight.dims());
    assert!(
        weight.dims() == [outputs, channels, size, size] && size % 2 == 1 && bias.dims() == [outputs],
        "convolution of {channels} channels: the weight is {:?}, of an odd size; a bias has {outputs}",
        weight.dims()
    );
    let dtype = x.dtype();
    let inputs = [x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()];
    device::convolution(inputs).unwrap_or_else(|[x, weight, bias]| {
        let [x, weight] = [x, weight].map(|x| widened(Tensor::from_dispatch(x)));
        let bias = widened(Tensor::from_dispatch(bias));
        in_type(composed::conv2d(x, weight, Some(bias)), dtype)
    })
}

/// 1×1 convolution: x `[batch, channels, height, width]`, weight `[out, channels, 1, 1]`, bias `[out]`, to
/// `[batch, out, height, width]`.
pub fn conv2d_1x1(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
    let ([_, channels, ..], [outputs, inputs, ..]) = (x.dims(), weight.dims());
    assert!(
        weight.dims() == [outputs, channels, 1, 1] && bias.dims() == [outputs],
        "1×1 convolution of {channels} channels: the weight is {:?} and reads {inputs} channels; a bias has {outputs}",
        weight.dims()
    );
    if x.shape().num_elements() * outputs == 0 {
        return composed::conv2d(x, weight, Some(bias));
    }
    let inputs = [x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()];
    apply(conv::pointwise::Conv1x1, inputs).unwrap_or_else(|[x, weight, bias]| {
        let bias = Tensor::from_dispatch(bias);
        composed::conv2d(Tensor::from_dispatch(x), Tensor::from_dispatch(weight), Some(bias))
    })
}

/// 3×3 convolution with stride 1 and one row and column of zero padding on each side: x `[batch, channels,
/// height, width]`, weight `[out, channels, 3, 3]`, bias `[out]`, to `[batch, out, height, width]`.
pub fn conv2d_3x3(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    conv2d_3x3_in(Precision::Whole, x, weight, bias)
}

/// As [`conv2d_3x3`]: with many channels, x and the weight (in the backward pass also the gradient) are
/// rounded to bfloat16; sums are f32.
///
/// Nothing is rounded on CPUs that cannot ([`rounds`]), and where the CPU has only vectors for it and f32 is faster
/// (large maps with many channels). On other devices that compute in bfloat16 the result is rounded, too, and products
/// are f32: burn's convolutions may sum in the type of their factors.
pub fn conv2d_3x3_rounded(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>) -> Tensor<4> {
    if rounds_on_device(&x) {
        return composed::conv2d_3x3_rounded(x, weight, bias);
    }
    conv2d_3x3_in(if rounds() { Precision::Rounded } else { Precision::Whole }, x, weight, bias)
}

fn conv2d_3x3_in(
    precision: Precision,
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let [outputs, inputs, ..] = weight.dims();
    let empty = batch * channels * height * width * outputs == 0;
    let shapes_fit = weight.dims() == [outputs, channels, 3, 3]
        && bias.as_ref().is_none_or(|bias| bias.dims() == [outputs]);
    assert!(
        shapes_fit,
        "3×3 convolution of {channels} channels: the weight is {:?} and reads {inputs} channels; a bias has {outputs}",
        weight.dims()
    );
    if empty || !extension::on_cpu(&x) {
        return composed::conv2d(x, weight, bias);
    }
    let with_bias = bias.is_some();
    let bias = bias.unwrap_or_else(|| Tensor::zeros([outputs], (&x.device(), x.dtype())));
    let inputs = [x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()];
    apply(conv::Conv3x3(precision), inputs).unwrap_or_else(|[x, weight, bias]| {
        let (x, weight) = (Tensor::from_dispatch(x), Tensor::from_dispatch(weight));
        composed::conv2d(x, weight, with_bias.then(|| Tensor::from_dispatch(bias)))
    })
}

/// The numbers of an f32 tensor on the CPU backend, in row-major order, without a copy if it is contiguous.
/// `None` for a tensor on another device, of another type, or tracked by autodiff.
pub fn read<const D: usize>(tensor: &Tensor<D>) -> Option<Values> {
    extension::read(tensor.clone().into_dispatch())
}

/// Whether `row` has one row of channels for each image of x, and neither is empty.
fn per_image(x: &Tensor<3>, row: &Tensor<3>) -> bool {
    let [batch, length, channels] = x.dims();
    row.dims() == [batch, 1, channels] && batch * length * channels > 0
}
