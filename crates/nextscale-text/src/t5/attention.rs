use burn::{module::Module, tensor::Tensor};
use nextscale_kernels::{attention, softmax};

use super::{
    config::T5Config,
    keys::{Named, Supply, Value},
    positions::Scores,
};
use crate::linear::Linear;

/// Multi-head self-attention without scaling; positions and padding are a bias on the scores.
#[derive(Module, Debug)]
pub struct Attention {
    queries: Linear,
    keys: Linear,
    values: Linear,
    output: Linear,
    #[module(skip)]
    heads: usize,
}

impl Attention {
    pub(super) fn build<S: Supply>(
        supply: &mut S,
        prefix: &str,
        config: &T5Config,
    ) -> Result<Self, S::Error> {
        let (width, inner) = (config.width, config.inner());
        Ok(Self {
            queries: supply.linear(&format!("{prefix}q.weight"), width, inner)?,
            keys: supply.linear(&format!("{prefix}k.weight"), width, inner)?,
            values: supply.linear(&format!("{prefix}v.weight"), width, inner)?,
            output: supply.linear(&format!("{prefix}o.weight"), inner, width)?,
            heads: config.heads,
        })
    }

    pub(super) fn list<'a>(&'a self, prefix: &str, names: &mut Vec<Named<'a>>) {
        let layers = [("q", &self.queries), ("k", &self.keys), ("v", &self.values), ("o", &self.output)];
        for (name, layer) in layers {
            names.push(Named::new(format!("{prefix}{name}.weight"), Value::Linear(layer)));
        }
    }

    /// `[batch, tokens, width]` to the same, with the bias of the scores.
    pub(super) fn forward(&self, x: Tensor<3>, bias: &Scores) -> Tensor<3> {
        let [batch, tokens, _] = x.dims();
        let heads = self.heads;
        // Every head is a separate image for the kernel, because each has its own bias.
        let apart = |x: Tensor<3>| {
            let head_width = x.dims()[2] / heads;
            let x = x.reshape([batch, tokens, heads, head_width]).swap_dims(1, 2);
            x.reshape([batch * heads, tokens, head_width])
        };
        let queries = apart(self.queries.forward(x.clone()));
        let keys = apart(self.keys.forward(x.clone()));
        let values = apart(self.values.forward(x));
        let head_width = values.dims()[2];
        let mixed = match bias {
            Scores::Constant(bias) => {
                let single = |x: Tensor<3>| x.unsqueeze_dim::<4>(2);
                attention(single(queries), single(keys), single(values), Some(bias.clone())).squeeze_dim(2)
            }
            Scores::Tracked(bias) => {
                softmax(queries.matmul(keys.swap_dims(1, 2)) + bias.clone()).matmul(values)
            }
        };
        let mixed = mixed.reshape([batch, heads, tokens, head_width]).swap_dims(1, 2);
        self.output.forward(mixed.reshape([batch, tokens, heads * head_width]))
    }
}
