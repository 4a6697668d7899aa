use burn::{module::Module, tensor::Tensor};

use super::{
    config::T5Config,
    keys::{Named, Supply, Value},
};
use crate::linear::Linear;

/// `wo(gelu(wi_0 x) ⊙ wi_1 x)`, GELU in its tanh form.
#[derive(Module, Debug)]
pub struct FeedForward {
    gate: Linear,
    value: Linear,
    output: Linear,
}

impl FeedForward {
    pub(super) fn build<S: Supply>(
        supply: &mut S,
        prefix: &str,
        config: &T5Config,
    ) -> Result<Self, S::Error> {
        let (width, hidden) = (config.width, config.hidden);
        Ok(Self {
            gate: supply.linear(&format!("{prefix}wi_0.weight"), width, hidden)?,
            value: supply.linear(&format!("{prefix}wi_1.weight"), width, hidden)?,
            output: supply.linear(&format!("{prefix}wo.weight"), hidden, width)?,
        })
    }

    pub(super) fn list<'a>(&'a self, prefix: &str, names: &mut Vec<Named<'a>>) {
        names.push(Named::new(format!("{prefix}wi_0.weight"), Value::Linear(&self.gate)));
        names.push(Named::new(format!("{prefix}wi_1.weight"), Value::Linear(&self.value)));
        names.push(Named::new(format!("{prefix}wo.weight"), Value::Linear(&self.output)));
    }

    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.output.forward(self.gate.forward_gelu(x.clone()) * self.value.forward(x))
    }
}
