use burn::{
    module::{Module, Param},
    tensor::{Bool, Int, Tensor, TensorData},
};

use super::{
    bucket::bucket,
    config::T5Config,
    keys::{Named, Supply, Value},
};

const KEY: &str = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight";

/// The bias of attention scores by relative position, shared by all blocks.
#[derive(Module, Debug)]
pub struct Positions {
    /// `[buckets, heads]`.
    pub(super) table: Param<Tensor<2>>,
    #[module(skip)]
    farthest: usize,
}

/// Added to attention scores, `[batch · heads, tokens, tokens]`.
#[derive(Debug, Clone)]
pub(super) enum Scores {
    /// Without gradients.
    Constant(Tensor<3>),
    /// Within autodiff: the table of positions is trained through it.
    Tracked(Tensor<3>),
}

impl Positions {
    pub(super) fn build<S: Supply>(supply: &mut S, config: &T5Config) -> Result<Self, S::Error> {
        let table = supply.table(KEY, [config.buckets, config.heads])?;
        Ok(Self { table, farthest: config.farthest })
    }

    pub(super) fn list<'a>(&'a self, names: &mut Vec<Named<'a>>) {
        names.push(Named::new(KEY, Value::Table(&self.table)));
    }

    /// The bias of every head, query and key, `[heads, tokens, tokens]`.
    pub(super) fn bias(&self, tokens: usize) -> Tensor<3> {
        let table = self.table.val();
        let [buckets, heads] = table.dims();
        let pairs = (0..tokens as i64).flat_map(|query| (0..tokens as i64).map(move |key| key - query));
        let rows: Vec<i64> = pairs.map(|distance| bucket(distance, buckets, self.farthest) as i64).collect();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [tokens * tokens]), &table.device());
        // Heads first, so that a head's biases are contiguous.
        let biases: Tensor<2> = table.select(0, rows).transpose();
        biases.reshape([heads, tokens, tokens])
    }

    /// Added to the scores of a batch; keys where `padding` (`[batch, tokens]`) is true are hidden.
    pub(super) fn scores(&self, batch: usize, tokens: usize, padding: Option<Tensor<2, Bool>>) -> Scores {
        let bias = self.bias(tokens);
        let [heads, ..] = bias.dims();
        let mut bias: Tensor<4> = bias.unsqueeze_dim::<4>(0).expand([batch, heads, tokens, tokens]);
        if let Some(padding) = padding {
            let padding: Tensor<4, Bool> =
                padding.reshape([batch, 1, 1, tokens]).expand([batch, heads, tokens, tokens]);
            bias = bias.mask_fill(padding, f32::NEG_INFINITY);
        }
        let bias = bias.reshape([batch * heads, tokens, tokens]);
        if bias.device().is_autodiff() { Scores::Tracked(bias) } else { Scores::Constant(bias) }
    }
}
