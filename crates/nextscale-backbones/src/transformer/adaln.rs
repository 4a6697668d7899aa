use burn::{
    module::{Module, Param},
    tensor::Tensor,
};
use serde::{Deserialize, Serialize};

use super::{
    keys::{Named, Supply, Value, linear, list_linear},
    linear::Linear,
    ops,
};

/// Where the blocks' modulation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdaLn {
    /// Each block has its own projection of the condition.
    PerBlock,
    /// One projection for the model, and a learned offset per block (VAR-d36-s, Infinity).
    Shared,
}

/// The source of a block's modulation.
#[derive(Module, Debug)]
pub enum Modulator {
    /// Its own projection, `width → 6·width`.
    Own(Linear),
    /// The model's shared projection plus this learned offset, `[1, 1, 6, width]`.
    Shared(Param<Tensor<4>>),
}

impl Modulator {
    pub(crate) fn build<S: Supply>(
        supply: &mut S,
        prefix: &str,
        width: usize,
        kind: AdaLn,
    ) -> Result<Self, S::Error> {
        Ok(match kind {
            AdaLn::PerBlock => Self::Own(linear(supply, &format!("{prefix}ada_lin.1"), width, 6 * width)?),
            AdaLn::Shared => Self::Shared(supply.param(&format!("{prefix}ada_gss"), [1, 1, 6, width])?),
        })
    }

    pub(crate) fn list<'a>(&'a self, prefix: &str, names: &mut Vec<Named<'a>>) {
        match self {
            Self::Own(layer) => list_linear(layer, &format!("{prefix}ada_lin.1"), names),
            Self::Shared(offset) => names.push(Named::new(format!("{prefix}ada_gss"), Value::Four(offset))),
        }
    }

    /// The modulation under `condition`.
    pub(crate) fn modulate(&self, condition: &BlockCondition) -> Modulation {
        let six = match (self, condition) {
            (Self::Own(layer), BlockCondition { activated, .. }) => layer.forward(activated.clone()),
            (Self::Shared(offset), BlockCondition { shared, .. }) => {
                let offset = offset.val();
                let width = offset.dims()[3];
                let offset = offset.reshape([1, 1, 6 * width]);
                match shared {
                    Some(shared) => shared.clone() + offset,
                    None => offset,
                }
            }
        };
        Modulation::split(six)
    }
}

/// What the blocks and the head are conditioned on, for a batch of rows.
#[derive(Debug, Clone)]
pub(crate) struct BlockCondition {
    /// SiLU of the condition's vectors, `[rows, 1, width]`.
    pub activated: Tensor<3>,
    /// The shared projection of it, `[rows, 1, 6·width]`, if the model has one.
    pub shared: Option<Tensor<3>>,
}

impl BlockCondition {
    /// From the condition's vectors `[rows, width]` and the model's shared projection.
    pub(crate) fn new(vectors: Tensor<2>, shared: Option<&Linear>) -> Self {
        let activated: Tensor<3> = ops::silu(vectors).unsqueeze_dim(1);
        let shared = shared.map(|layer| layer.forward(activated.clone()));
        Self { activated, shared }
    }
}

/// The six vectors that modulate a block, each `[rows, 1, width]`: gates γ, scales s and shifts b of
/// attention (1) and MLP (2). They depend only on the condition, so a session computes them once for all its
/// scales.
#[derive(Debug, Clone)]
pub(crate) struct Modulation {
    pub gate1: Tensor<3>,
    pub gate2: Tensor<3>,
    pub scale1: Tensor<3>,
    pub scale2: Tensor<3>,
    pub shift1: Tensor<3>,
    pub shift2: Tensor<3>,
}

impl Modulation {
    /// Splits `[rows, 1, 6·width]` in upstream's order: γ1 γ2 s1 s2 b1 b2.
    pub(crate) fn split(six: Tensor<3>) -> Self {
        let [gate1, gate2, scale1, scale2, shift1, shift2] = ops::parts(six);
        Self { gate1, gate2, scale1, scale2, shift1, shift2 }
    }

    /// Applies `select` to each vector.
    pub(crate) fn map(self, select: impl Fn(Tensor<3>) -> Tensor<3>) -> Self {
        Self {
            gate1: select(self.gate1),
            gate2: select(self.gate2),
            scale1: select(self.scale1),
            scale2: select(self.scale2),
            shift1: select(self.shift1),
            shift2: select(self.shift2),
        }
    }
}
