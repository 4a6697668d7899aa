use burn::{module::Module, tensor::Tensor};

use super::{config::HartConfig, feed_forward::GatedFeedForward, modulator::HartModulator, norm::RmsNorm};
use crate::transformer::{
    Attention, Named,
    adaln::Modulation,
    attention::{Projected, last_positions},
    keys::Supply,
    ops,
};

/// The name of the joint weight of queries, keys and values.
const JOINT: &str = "qkv_proj";

/// One transformer block: attention and MLP, each after the same norm.
#[derive(Module, Debug)]
pub struct Block {
    pub(super) modulator: Option<HartModulator>,
    attention: Attention,
    feed_forward: GatedFeedForward,
    norm: RmsNorm,
}

impl Block {
    pub(super) fn build<S: Supply>(
        supply: &mut S,
        index: usize,
        config: &HartConfig,
    ) -> Result<Self, S::Error> {
        let HartConfig { width, heads, hidden, attention, .. } = *config;
        let prefix = format!("blocks.{index}.");
        let of_attention = format!("{prefix}attn.");
        Ok(Self {
            modulator: HartModulator::build(supply, &prefix, config)?,
            attention: Attention::build_as(supply, &of_attention, JOINT, [width, heads], attention)?,
            feed_forward: GatedFeedForward::build(supply, &format!("{prefix}ffn."), width, hidden)?,
            norm: RmsNorm::build(supply, &format!("{prefix}ln_wo_grad.weight"), width)?,
        })
    }

    /// The bytes of a number of its keys and values: f32 on the CPU, whatever products round to.
    pub(super) fn cached_size(&self) -> usize {
        self.attention.dtype().size()
    }

    pub(super) fn list<'a>(&'a self, index: usize, names: &mut Vec<Named<'a>>) {
        let prefix = format!("blocks.{index}.");
        if let Some(modulator) = &self.modulator {
            modulator.list(&prefix, names);
        }
        self.attention.list(&format!("{prefix}attn."), names);
        self.feed_forward.list(&format!("{prefix}ffn."), names);
        self.norm.list(format!("{prefix}ln_wo_grad.weight"), names);
    }

    /// x + γ1 ⊙ SA(norm(x) ⊙ (1 + s1) + b1), then x + γ2 ⊙ MLP(norm(x) ⊙ (1 + s2) + b2); without a
    /// modulation, γ = 1 and s = b = 0.
    ///
    /// `attend` turns queries, keys and values, before rotary embeddings, into the weighted sum of values.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        modulation: Option<Modulation>,
        attend: impl FnOnce(Projected) -> Tensor<3>,
    ) -> Tensor<3> {
        let (of_attention, of_mlp) = (self.attention.dtype(), self.feed_forward.dtype());
        let Some(Modulation { gate1, gate2, scale1, scale2, shift1, shift2 }) = modulation else {
            let projected = self.attention.project(self.norm.forward(x.clone(), of_attention));
            let mixed = self.attention.output(attend(projected));
            let x = last_positions(x, mixed.dims()[1]) + mixed;
            return x.clone() + self.feed_forward.forward(self.norm.forward(x, of_mlp));
        };
        let projected = self.attention.project(self.norm.modulated(x.clone(), scale1, shift1, of_attention));
        let mixed = self.attention.output(attend(projected));
        let x = ops::gated_residual(last_positions(x, mixed.dims()[1]), gate1, mixed);
        let y = self.feed_forward.forward(self.norm.modulated(x.clone(), scale2, shift2, of_mlp));
        ops::gated_residual(x, gate2, y)
    }
}
