use burn::{
    module::Module,
    tensor::{DType, Tensor},
};
use nextscale_kernels::{self as kernels, packed::Then};

use crate::transformer::{
    Named, Weight,
    keys::{Supply, Value},
};

/// The MLP of a block, `down(silu(gate x) ⊙ up x)`, without biases.
#[derive(Module, Debug)]
pub struct GatedFeedForward {
    gate: Weight,
    up: Weight,
    down: Weight,
}

impl GatedFeedForward {
    pub(super) fn build<S: Supply>(
        supply: &mut S,
        prefix: &str,
        width: usize,
        hidden: usize,
    ) -> Result<Self, S::Error> {
        Ok(Self {
            gate: supply.matrix(&format!("{prefix}gate_proj.weight"), width, hidden)?,
            up: supply.matrix(&format!("{prefix}up_proj.weight"), width, hidden)?,
            down: supply.matrix(&format!("{prefix}down_proj.weight"), hidden, width)?,
        })
    }

    pub(super) fn list<'a>(&'a self, prefix: &str, names: &mut Vec<Named<'a>>) {
        for (name, weight) in [("gate", &self.gate), ("up", &self.up), ("down", &self.down)] {
            names.push(Named::new(format!("{prefix}{name}_proj.weight"), Value::Matrix(weight)));
        }
    }

    /// The type of floats that [`forward`](Self::forward) multiplies.
    pub(super) fn dtype(&self) -> DType {
        self.gate.dtype()
    }

    /// `[rows, positions, width]` to the same.
    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let gate = product(&self.gate, x.clone());
        product(&self.down, kernels::silu_gate(gate, product(&self.up, x)))
    }
}

/// `x · W` without a bias.
fn product(weight: &Weight, x: Tensor<3>) -> Tensor<3> {
    let [outputs, _] = weight.stored_shape();
    let none = Tensor::zeros([outputs], &x.device());
    weight.product(x, none, Then::Nothing)
}
