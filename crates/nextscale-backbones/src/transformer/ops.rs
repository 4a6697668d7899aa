//! The tensor operations of the models, written once.

use burn::tensor::{DType, Tensor};
use nextscale_core::is_cpu;
use nextscale_kernels as kernels;

/// The epsilon of every LayerNorm.
const EPSILON: f64 = 1e-6;

/// LayerNorm over channels without affine parameters, then `⊙ (1 + scale) + shift`, rounded to the type `to` of the
/// weights that multiply it.
pub(crate) fn norm_modulate(x: Tensor<3>, scale: Tensor<3>, shift: Tensor<3>, to: DType) -> Tensor<3> {
    kernels::layer_norm_modulate_in(x, scale, shift, EPSILON, to)
}

/// `x + gate ⊙ y`.
pub(crate) fn gated_residual(x: Tensor<3>, gate: Tensor<3>, y: Tensor<3>) -> Tensor<3> {
    kernels::gated_residual(x, gate, y)
}

/// Vectors `[rows, 1, N·width]` in their N parts, `[rows, 1, width]` each.
pub(crate) fn parts<const N: usize>(x: Tensor<3>) -> [Tensor<3>; N] {
    let [rows, _, all] = x.dims();
    let width = all / N;
    if is_cpu(&x.device()) {
        return std::array::from_fn(|i| x.clone().slice_dim(2, i * width..(i + 1) * width));
    }
    // Each part in one piece: the kernels that read them would copy them every time.
    let x = x.reshape([rows, N, width]).swap_dims(0, 1).reshape([N * rows, 1, width]);
    std::array::from_fn(|i| x.clone().slice_dim(0, i * rows..(i + 1) * rows))
}

/// `x · sigmoid(x)`.
pub(crate) fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    kernels::silu(x)
}

/// `softmax(q·kᵀ + mask)·v` for every image and head, all `[rows, positions, heads, head width]`; `mixed`
/// rounds factors to bfloat16.
pub(crate) fn attention(
    mixed: bool,
    queries: Tensor<4>,
    keys: Tensor<4>,
    values: Tensor<4>,
    mask: Option<Tensor<2>>,
) -> Tensor<4> {
    attention_by_image(mixed, queries, keys, values, mask.map(|mask| mask.unsqueeze_dim(0)))
}

/// The same with a mask of `[rows or 1, queries or 1, keys]`.
pub(crate) fn attention_by_image(
    mixed: bool,
    queries: Tensor<4>,
    keys: Tensor<4>,
    values: Tensor<4>,
    mask: Option<Tensor<3>>,
) -> Tensor<4> {
    let attention = if mixed { kernels::attention_rounded } else { kernels::attention };
    attention(queries, keys, values, mask)
}

/// The same without a mask over keys and values in parts, one after the other.
pub(crate) fn attention_over(
    mixed: bool,
    queries: Tensor<4>,
    keys: &[Tensor<4>],
    values: &[Tensor<4>],
) -> Tensor<4> {
    if mixed {
        let [keys, values] = [keys, values].map(|parts| Tensor::cat(parts.to_vec(), 1));
        return attention(mixed, queries, keys, values, None);
    }
    kernels::attention_over(queries, keys, values)
}

/// LayerNorm over channels with weight and bias, `[width]` each, rounded to the type `to`.
pub(crate) fn norm(x: Tensor<3>, weight: Tensor<1>, bias: Tensor<1>, to: DType) -> Tensor<3> {
    let [rows, _, width] = x.dims();
    let every = |part: Tensor<1>| part.reshape([1, 1, width]).repeat_dim(0, rows);
    norm_modulate(x, every(weight - 1.0), every(bias), to)
}

/// Queries, keys and values of every head, `[rows, positions, heads, head width]`, from their concatenated
/// projections, `[rows, positions, 3·width]`, to which `bias` is added, if any, all of one type. Queries are multiplied by
/// their head's `scale`, `[heads]`; with `unit`, queries and keys are first divided by their norms.
pub(crate) fn heads(
    projections: Tensor<3>,
    bias: Option<Tensor<1>>,
    scale: Tensor<1>,
    unit: bool,
) -> [Tensor<4>; 3] {
    kernels::heads(projections, bias, scale, unit)
}

/// `x / max(‖x‖, 1e-12)` over the last dimension.
pub(crate) fn unit<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    kernels::unit(x)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    #[test]
    fn elementwise_operations_do_not_depend_on_the_length() {
        // Odd lengths end in the middle of a vector register.
        let device = Device::flex();
        let x: Tensor<3> = Tensor::random([1, 9, 37], Distribution::Normal(0.0, 2.0), &device);
        let part = |x: Tensor<3>| x.into_data().try_to_vec::<f32>().unwrap();
        let modulation: Tensor<3> = Tensor::random([1, 1, 37], Distribution::Normal(0.0, 1.0), &device);
        let m = || modulation.clone();
        let operations: [&dyn Fn(Tensor<3>) -> Tensor<3>; 5] =
            [&kernels::gelu_tanh, &silu, &unit, &|x| norm_modulate(x, m(), m(), DType::F32), &|x| {
                gated_residual(x.clone(), m(), x)
            }];
        for (i, operation) in operations.iter().enumerate() {
            let all = part(operation(x.clone()));
            for rows in 1..9 {
                let few = part(operation(x.clone().slice_dim(1, 0..rows)));
                assert!(few == all[..rows * 37], "operation {i} with {rows} rows");
            }
        }
    }
}
