use burn::{module::Module, tensor::Tensor};

use super::config::VarConfig;
use crate::transformer::{
    Attention, FeedForward, Modulator, Named, adaln::Modulation, attention::Projected, keys::Supply, ops,
};

/// One transformer block: attention and MLP, each between an adaptive norm and a gate.
#[derive(Module, Debug)]
pub struct Block {
    pub(super) modulator: Modulator,
    attention: Attention,
    feed_forward: FeedForward,
}

impl Block {
    pub(super) fn build<S: Supply>(
        supply: &mut S,
        index: usize,
        config: &VarConfig,
    ) -> Result<Self, S::Error> {
        let prefix = format!("blocks.{index}.");
        Ok(Self {
            modulator: Modulator::build(supply, &prefix, config.width, config.ada_ln)?,
            attention: Attention::build(
                supply,
                &format!("{prefix}attn."),
                [config.width, config.heads],
                config.attention,
            )?,
            feed_forward: FeedForward::build(supply, &format!("{prefix}ffn."), config.width, config.hidden)?,
        })
    }

    /// The bytes of a number of its keys and values: f32 on the CPU, whatever products round to.
    pub(super) fn cached_size(&self) -> usize {
        self.attention.dtype().size()
    }

    pub(super) fn list<'a>(&'a self, index: usize, names: &mut Vec<Named<'a>>) {
        let prefix = format!("blocks.{index}.");
        self.modulator.list(&prefix, names);
        self.attention.list(&format!("{prefix}attn."), names);
        self.feed_forward.list(&format!("{prefix}ffn."), names);
    }

    /// x + γ1 ⊙ Attn(LN(x) ⊙ (1 + s1) + b1), then x + γ2 ⊙ MLP(LN(x) ⊙ (1 + s2) + b2).
    ///
    /// `attend` turns queries, keys and values into the weighted sum of values: a session reads a cache,
    /// training applies a mask.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        modulation: Modulation,
        attend: impl FnOnce(Projected) -> Tensor<3>,
    ) -> Tensor<3> {
        let Modulation { gate1, gate2, scale1, scale2, shift1, shift2 } = modulation;
        let normed = ops::norm_modulate(x.clone(), scale1, shift1, self.attention.dtype());
        let projected = self.attention.project(normed);
        let x = ops::gated_residual(x, gate1, self.attention.output(attend(projected)));
        let y = ops::norm_modulate(x.clone(), scale2, shift2, self.feed_forward.dtype());
        let y = self.feed_forward.forward(y);
        ops::gated_residual(x, gate2, y)
    }
}
