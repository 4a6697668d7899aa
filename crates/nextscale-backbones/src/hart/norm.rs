use burn::{
    module::{Module, Param},
    tensor::{DType, Tensor},
};
use nextscale_kernels as kernels;

use crate::transformer::{
    Named,
    keys::{Supply, Value},
};

/// The epsilon of every norm.
const EPSILON: f64 = 1e-6;

/// A root-mean-square norm with a weight per channel.
#[derive(Module, Debug)]
pub struct RmsNorm {
    weight: Param<Tensor<1>>,
}

impl RmsNorm {
    pub(super) fn build<S: Supply>(supply: &mut S, key: &str, width: usize) -> Result<Self, S::Error> {
        Ok(Self { weight: supply.param(key, [width])? })
    }

    pub(super) fn list<'a>(&'a self, key: String, names: &mut Vec<Named<'a>>) {
        names.push(Named::new(key, Value::One(&self.weight)));
    }

    /// `[rows, positions, width]` to the same, rounded to the type `to` of the weights that multiply it.
    pub(super) fn forward(&self, x: Tensor<3>, to: DType) -> Tensor<3> {
        let [rows, _, width] = x.dims();
        let scale = self.weight.val().reshape([1, 1, width]).repeat_dim(0, rows);
        let shift = scale.zeros_like();
        kernels::rms_norm_modulate_in(x, scale, shift, EPSILON, to)
    }

    /// The norm of `x` ⊙ (1 + scale) + shift, which are `[rows, 1, width]`, rounded likewise.
    pub(super) fn modulated(&self, x: Tensor<3>, scale: Tensor<3>, shift: Tensor<3>, to: DType) -> Tensor<3> {
        let [_, _, width] = x.dims();
        let scale = (scale + 1.0) * self.weight.val().reshape([1, 1, width]);
        kernels::rms_norm_modulate_in(x, scale, shift, EPSILON, to)
    }
}
