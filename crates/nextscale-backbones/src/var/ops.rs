//! The tensor operations that the model is made of, written once.

use burn::{nn::Linear, tensor::Tensor};
use nextscale_kernels as kernels;

/// The epsilon of every LayerNorm.
const EPSILON: f64 = 1e-6;

/// `x · W + b` over the last dimension; `x` is `[batch, positions, in]`.
pub(super) fn linear(x: Tensor<3>, layer: &Linear) -> Tensor<3> {
    product(x, layer.weight.val(), layer.bias.as_ref().map(|bias| bias.val()))
}

/// `x · W` over the last dimension; `weight` is `[in, out]`.
pub(super) fn matmul(x: Tensor<3>, weight: Tensor<2>) -> Tensor<3> {
    product(x, weight, None)
}

/// A row's result is the same bit for bit whatever rows stand beside it, which is what makes an image independent of its
/// batch.
fn product(x: Tensor<3>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<3> {
    let ([batch, positions, inner], [_, out]) = (x.dims(), weight.dims());
    kernels::linear(x.reshape([batch * positions, inner]), weight, bias).reshape([batch, positions, out])
}

/// LayerNorm over channels without affine parameters, then `⊙ (1 + scale) + shift`.
pub(super) fn norm_modulate(x: Tensor<3>, scale: Tensor<3>, shift: Tensor<3>) -> Tensor<3> {
    kernels::layer_norm_modulate(x, scale, shift, EPSILON)
}

/// `x + gate ⊙ y`.
pub(super) fn gated_residual(x: Tensor<3>, gate: Tensor<3>, y: Tensor<3>) -> Tensor<3> {
    kernels::gated_residual(x, gate, y)
}

/// GELU in its tanh form.
pub(super) fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    kernels::gelu_tanh(x)
}

/// `x · sigmoid(x)`.
pub(super) fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    kernels::silu(x)
}

/// `softmax(q·kᵀ + mask)·v` for every image and head, all `[rows, positions, heads, head width]`.
pub(super) fn attention(
    queries: Tensor<4>,
    keys: Tensor<4>,
    values: Tensor<4>,
    mask: Option<Tensor<2>>,
) -> Tensor<4> {
    kernels::attention(queries, keys, values, mask)
}

/// `x / max(‖x‖, 1e-12)` over the last dimension.
pub(super) fn unit<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let square = (x.clone() * x.clone()).sum_dim(D - 1);
    // Clamped before the root, so that its gradient stays finite at zero.
    x / square.clamp_min(1e-24).sqrt()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    /// Row counts around the places where the CPU's matrix product changes its route.
    const ROWS: [usize; 9] = [1, 2, 3, 7, 16, 63, 64, 65, 130];

    #[test]
    fn a_row_of_a_product_does_not_depend_on_the_rows_beside_it() {
        let device = Device::flex();
        for (inner, out) in [
            (8, 64),
            (64, 192),
            (160, 640),
            (640, 160),
            (1024, 1024),
            (1030, 48),
            (768, 64),
            (4096, 128),
            (3, 5),
        ] {
            let x: Tensor<3> = Tensor::random([1, 130, inner], Distribution::Normal(0.0, 1.0), &device);
            let weight: Tensor<2> = Tensor::random([inner, out], Distribution::Normal(0.0, 1.0), &device);
            let all = matmul(x.clone(), weight.clone()).into_data().try_to_vec::<f32>().unwrap();
            for rows in ROWS {
                let few = matmul(x.clone().slice_dim(1, 0..rows), weight.clone());
                let few = few.into_data().try_to_vec::<f32>().unwrap();
                assert!(few == all[..rows * out], "{rows} rows of {inner} by {out}");
            }
        }
    }

    #[test]
    fn elementwise_operations_do_not_depend_on_the_length() {
        // Odd lengths end in the middle of a vector register.
        let device = Device::flex();
        let x: Tensor<3> = Tensor::random([1, 9, 37], Distribution::Normal(0.0, 2.0), &device);
        let part = |x: Tensor<3>| x.into_data().try_to_vec::<f32>().unwrap();
        let modulation: Tensor<3> = Tensor::random([1, 1, 37], Distribution::Normal(0.0, 1.0), &device);
        let m = || modulation.clone();
        let operations: [&dyn Fn(Tensor<3>) -> Tensor<3>; 5] =
            [&gelu, &silu, &unit, &|x| norm_modulate(x, m(), m()), &|x| gated_residual(x.clone(), m(), x)];
        for (i, operation) in operations.iter().enumerate() {
            let all = part(operation(x.clone()));
            for rows in 1..9 {
                let few = part(operation(x.clone().slice_dim(1, 0..rows)));
                assert!(few == all[..rows * 37], "operation {i} with {rows} rows");
            }
        }
    }
}
