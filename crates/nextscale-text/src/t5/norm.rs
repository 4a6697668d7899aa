use burn::{
    module::{Module, Param},
    tensor::Tensor,
};
use nextscale_kernels::mean_last;

use super::keys::{Named, Supply, Value};

/// `x / √(mean x² + epsilon) ⊙ weight` over channels: no mean is subtracted and no bias added.
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// `[channels]`.
    weight: Param<Tensor<1>>,
    #[module(skip)]
    epsilon: f64,
}

impl RmsNorm {
    pub(super) fn build<S: Supply>(
        supply: &mut S,
        key: &str,
        width: usize,
        epsilon: f64,
    ) -> Result<Self, S::Error> {
        Ok(Self { weight: supply.gain(key, width)?, epsilon })
    }

    pub(super) fn list<'a>(&'a self, key: String, names: &mut Vec<Named<'a>>) {
        names.push(Named::new(key, Value::Gain(&self.weight)));
    }

    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let mean_square = mean_last(x.clone() * x.clone());
        x / (mean_square + self.epsilon).sqrt() * self.weight.val().unsqueeze()
    }
}
