use burn::{
    module::Module,
    tensor::{DType, Tensor},
};

use super::{
    keys::{Named, Supply, linear, list_linear},
    linear::Linear,
};

/// The MLP of a block: `fc2(gelu(fc1(x)))`, GELU in its tanh form.
#[derive(Module, Debug)]
pub struct FeedForward {
    fc1: Linear,
    fc2: Linear,
}

impl FeedForward {
    pub(crate) fn build<S: Supply>(
        supply: &mut S,
        prefix: &str,
        width: usize,
        hidden: usize,
    ) -> Result<Self, S::Error> {
        Ok(Self {
            fc1: linear(supply, &format!("{prefix}fc1"), width, hidden)?,
            fc2: linear(supply, &format!("{prefix}fc2"), hidden, width)?,
        })
    }

    pub(crate) fn list<'a>(&'a self, prefix: &str, names: &mut Vec<Named<'a>>) {
        list_linear(&self.fc1, &format!("{prefix}fc1"), names);
        list_linear(&self.fc2, &format!("{prefix}fc2"), names);
    }

    /// The type of floats that [`forward`](Self::forward) multiplies.
    pub(crate) fn dtype(&self) -> DType {
        self.fc1.weight.dtype()
    }

    /// `[batch, positions, width]` to the same.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.fc2.forward(self.fc1.forward_gelu(x))
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::var::fixtures::{Weights, assert_close, modules};

    #[test]
    fn the_mlp_and_its_gelu_are_upstreams() {
        let reference = modules();
        let mut weights = Weights::new(&reference, "ffn_32.w.".into(), Device::flex());
        let mlp = FeedForward::build(&mut weights, "", 32, 128).unwrap();
        let out = mlp.forward(reference.tensor("ffn_32.in"));
        assert_close(&out, &reference.tensor("ffn_32.out"), 1e-5, "ffn_32");
        let out = nextscale_kernels::gelu_tanh(reference.tensor::<1>("gelu_tanh.in"));
        assert_close(&out, &reference.tensor("gelu_tanh.out"), 1e-5, "gelu_tanh");
    }
}
