use burn::{module::Module, tensor::Tensor};

use super::norm::RmsNorm;
use crate::transformer::{
    Linear, Named,
    head::HeadModulation,
    keys::{Supply, linear, list_linear},
    ops,
};

/// The adaptive norm before the head, and the head: hidden states to logits.
#[derive(Module, Debug)]
pub struct HartHead {
    norm: RmsNorm,
    modulator: Linear,
    out: Linear,
}

impl HartHead {
    pub(super) fn build<S: Supply>(
        supply: &mut S,
        width: usize,
        vocabulary: usize,
    ) -> Result<Self, S::Error> {
        Ok(Self {
            norm: RmsNorm::build(supply, "head_nm.ln_wo_grad.weight", width)?,
            modulator: linear(supply, "head_nm.ada_lin.1", width, 2 * width)?,
            out: linear(supply, "head", width, vocabulary)?,
        })
    }

    pub(super) fn list<'a>(&'a self, names: &mut Vec<Named<'a>>) {
        self.norm.list("head_nm.ln_wo_grad.weight".into(), names);
        list_linear(&self.modulator, "head_nm.ada_lin.1", names);
        list_linear(&self.out, "head", names);
    }

    /// The norm's modulation from the largest of each channel of a text's rows, `[rows, 1, width]`.
    pub(super) fn modulate(&self, largest: Tensor<3>) -> HeadModulation {
        let two = self.modulator.forward(ops::silu(largest));
        let width = two.dims()[2] / 2;
        HeadModulation {
            scale: two.clone().slice_dim(2, 0..width),
            shift: two.slice_dim(2, width..2 * width),
        }
    }

    /// `[rows, positions, width]` to logits `[rows, positions, vocabulary]`.
    pub(super) fn forward(&self, x: Tensor<3>, modulation: HeadModulation) -> Tensor<3> {
        let HeadModulation { scale, shift } = modulation;
        self.out.forward(self.norm.modulated(x, scale, shift, self.out.weight.dtype()))
    }
}
