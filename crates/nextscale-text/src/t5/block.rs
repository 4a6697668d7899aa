use burn::{module::Module, tensor::Tensor};

use super::{
    attention::Attention,
    config::T5Config,
    feed_forward::FeedForward,
    keys::{Named, Supply},
    norm::RmsNorm,
    positions::Scores,
};

/// Self-attention and feed-forward, each after a norm and added to its input.
#[derive(Module, Debug)]
pub struct Block {
    attention_norm: RmsNorm,
    attention: Attention,
    feed_forward_norm: RmsNorm,
    feed_forward: FeedForward,
}

impl Block {
    pub(super) fn build<S: Supply>(
        supply: &mut S,
        index: usize,
        config: &T5Config,
    ) -> Result<Self, S::Error> {
        let [first, second] = prefixes(index);
        let norm = |supply: &mut S, prefix: &str| {
            RmsNorm::build(supply, &format!("{prefix}layer_norm.weight"), config.width, config.epsilon)
        };
        Ok(Self {
            attention_norm: norm(supply, &first)?,
            attention: Attention::build(supply, &format!("{first}SelfAttention."), config)?,
            feed_forward_norm: norm(supply, &second)?,
            feed_forward: FeedForward::build(supply, &format!("{second}DenseReluDense."), config)?,
        })
    }

    pub(super) fn list<'a>(&'a self, index: usize, names: &mut Vec<Named<'a>>) {
        let [first, second] = prefixes(index);
        self.attention_norm.list(format!("{first}layer_norm.weight"), names);
        self.attention.list(&format!("{first}SelfAttention."), names);
        self.feed_forward_norm.list(format!("{second}layer_norm.weight"), names);
        self.feed_forward.list(&format!("{second}DenseReluDense."), names);
    }

    /// `[batch, tokens, width]` to the same.
    pub(super) fn forward(&self, x: Tensor<3>, bias: &Scores) -> Tensor<3> {
        let x = self.attention.forward(self.attention_norm.forward(x.clone()), bias) + x;
        self.feed_forward.forward(self.feed_forward_norm.forward(x.clone())) + x
    }
}

fn prefixes(index: usize) -> [String; 2] {
    [0, 1].map(|layer| format!("encoder.block.{index}.layer.{layer}."))
}
