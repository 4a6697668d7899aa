use burn::{module::Module, tensor::Tensor};

use super::{
    keys::{Named, Supply, linear, list_linear},
    linear::Linear,
    ops,
};

/// The adaptive norm before the head, and the head: hidden states to logits.
#[derive(Module, Debug)]
pub struct Head {
    norm: Linear,
    out: Linear,
}

impl Head {
    pub(crate) fn build<S: Supply>(
        supply: &mut S,
        width: usize,
        vocabulary: usize,
    ) -> Result<Self, S::Error> {
        Ok(Self {
            norm: linear(supply, "head_nm.ada_lin.1", width, 2 * width)?,
            out: linear(supply, "head", width, vocabulary)?,
        })
    }

    pub(crate) fn list<'a>(&'a self, names: &mut Vec<Named<'a>>) {
        list_linear(&self.norm, "head_nm.ada_lin.1", names);
        list_linear(&self.out, "head", names);
    }

    /// The norm's modulation from SiLU of the condition's vectors `[rows, 1, width]`. It uses this condition
    /// even if the blocks share a projection.
    pub(crate) fn modulate(&self, activated: Tensor<3>) -> HeadModulation {
        let [scale, shift] = ops::parts(self.norm.forward(activated));
        HeadModulation { scale, shift }
    }

    /// `[rows, positions, width]` to logits `[rows, positions, vocabulary]`.
    pub(crate) fn forward(&self, x: Tensor<3>, modulation: HeadModulation) -> Tensor<3> {
        let HeadModulation { scale, shift } = modulation;
        self.out.forward(ops::norm_modulate(x, scale, shift, self.out.weight.dtype()))
    }
}

/// Scale and shift of the norm before the head, each `[rows, 1, width]`.
#[derive(Debug, Clone)]
pub(crate) struct HeadModulation {
    pub scale: Tensor<3>,
    pub shift: Tensor<3>,
}

impl HeadModulation {
    /// Applies `select` to both vectors.
    pub(crate) fn map(self, select: impl Fn(Tensor<3>) -> Tensor<3>) -> Self {
        Self { scale: select(self.scale), shift: select(self.shift) }
    }
}
