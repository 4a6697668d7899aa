use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

use super::{
    config::InfinityConfig,
    text::{Attended, CrossAttention},
};
use crate::transformer::{
    AdaLn, Attention, AttentionKind, FeedForward, Modulator, Named,
    adaln::Modulation,
    attention::Projected,
    keys::{Supply, Value},
    ops,
};

/// One transformer block: self-attention and MLP, each between an adaptive norm and a gate, with
/// cross-attention over the text between them.
#[derive(Module, Debug)]
pub struct Block {
    pub(super) modulator: Modulator,
    attention: Attention,
    pub(super) cross: CrossAttention,
    norm_weight: Param<Tensor<1>>,
    norm_bias: Param<Tensor<1>>,
    feed_forward: FeedForward,
}

impl Block {
    pub(super) fn build<S: Supply>(
        supply: &mut S,
        index: usize,
        config: &InfinityConfig,
    ) -> Result<Self, S::Error> {
        let InfinityConfig { width, heads, hidden, .. } = *config;
        let prefix = config.prefix(index);
        Ok(Self {
            modulator: Modulator::build(supply, &prefix, width, AdaLn::Shared)?,
            attention: Attention::build(supply, &format!("{prefix}sa."), [width, heads], AttentionKind::L2)?,
            cross: CrossAttention::build(supply, &format!("{prefix}ca."), [width, heads])?,
            norm_weight: supply.param(&format!("{prefix}ca_norm.weight"), [width])?,
            norm_bias: supply.param(&format!("{prefix}ca_norm.bias"), [width])?,
            feed_forward: FeedForward::build(supply, &format!("{prefix}ffn."), width, hidden)?,
        })
    }

    /// The bytes of a number of its keys and values: f32 on the CPU, whatever products round to.
    pub(super) fn cached_size(&self) -> usize {
        self.attention.dtype().size()
    }

    pub(super) fn list<'a>(&'a self, index: usize, config: &InfinityConfig, names: &mut Vec<Named<'a>>) {
        let prefix = config.prefix(index);
        self.modulator.list(&prefix, names);
        self.attention.list(&format!("{prefix}sa."), names);
        self.cross.list(&format!("{prefix}ca."), names);
        names.push(Named::new(format!("{prefix}ca_norm.weight"), Value::One(&self.norm_weight)));
        names.push(Named::new(format!("{prefix}ca_norm.bias"), Value::One(&self.norm_bias)));
        self.feed_forward.list(&format!("{prefix}ffn."), names);
    }

    /// x + γ1 ⊙ SA(LN(x) ⊙ (1 + s1) + b1), then x + CA(LN(x) ⊙ w + b), then x + γ2 ⊙ MLP(LN(x) ⊙ (1 + s2) +
    /// b2).
    ///
    /// `attend` turns queries, keys and values, before rotary embeddings, into the weighted sum of values: a
    /// session reads a cache, training applies a mask.
    pub(super) fn forward(
        &self,
        x: Tensor<3>,
        modulation: Modulation,
        text: &Attended,
        attend: impl FnOnce(Projected) -> Tensor<3>,
    ) -> Tensor<3> {
        let Modulation { gate1, gate2, scale1, scale2, shift1, shift2 } = modulation;
        let normed = ops::norm_modulate(x.clone(), scale1, shift1, self.attention.dtype());
        let projected = self.attention.project(normed);
        let x = ops::gated_residual(x, gate1, self.attention.output(attend(projected)));
        let y = ops::norm(x.clone(), self.norm_weight.val(), self.norm_bias.val(), self.cross.dtype());
        let x = x + self.cross.forward(y, text);
        let y = ops::norm_modulate(x.clone(), scale2, shift2, self.feed_forward.dtype());
        let y = self.feed_forward.forward(y);
        ops::gated_residual(x, gate2, y)
    }
}
