use burn::{
    module::{Module, Param},
    tensor::{DType, Tensor},
};
use nextscale_kernels as kernels;

use super::super::{
    config::{HartConfig, ResidualConfig},
    embedding::Sinusoidal,
};
use crate::transformer::{
    Linear, Named,
    keys::{Supply, Value, linear, list_linear},
    ops,
};

/// The epsilon of the net's layer norms.
const EPSILON: f64 = 1e-6;
/// The net's names in a file.
const PREFIX: &str = "diffloss.net.";

/// Predicts the noise in a token's residual, and where between its bounds the variance of a step is.
#[derive(Module, Debug)]
pub struct ResidualNet {
    time: Sinusoidal,
    condition: Linear,
    input: Linear,
    blocks: Vec<ResidualBlock>,
    modulator: Linear,
    output: Linear,
}

/// An MLP after a modulated layer norm, gated and added to its input.
#[derive(Module, Debug)]
pub struct ResidualBlock {
    norm_weight: Param<Tensor<1>>,
    norm_bias: Param<Tensor<1>>,
    first: Linear,
    second: Linear,
    modulator: Linear,
}

impl ResidualNet {
    pub(in super::super) fn build<S: Supply>(
        supply: &mut S,
        config: &HartConfig,
        ResidualConfig { width, depth, .. }: ResidualConfig,
    ) -> Result<Self, S::Error> {
        let channels = config.feature_channels;
        let blocks =
            (0..depth).map(|i| ResidualBlock::build(supply, &format!("{PREFIX}res_blocks.{i}."), width));
        let blocks = blocks.collect::<Result<_, S::Error>>()?;
        let mut layer = |name: &str, inner, out| linear(supply, &format!("{PREFIX}{name}"), inner, out);
        Ok(Self {
            blocks,
            condition: layer("cond_embed", config.width, width)?,
            input: layer("input_proj", channels, width)?,
            modulator: layer("final_layer.adaLN_modulation.1", width, 2 * width)?,
            output: layer("final_layer.linear", width, 2 * channels)?,
            time: Sinusoidal::build(supply, &format!("{PREFIX}time_embed."), width)?,
        })
    }

    pub(in super::super) fn list<'a>(&'a self, names: &mut Vec<Named<'a>>) {
        let layers = [
            ("cond_embed", &self.condition),
            ("input_proj", &self.input),
            ("final_layer.adaLN_modulation.1", &self.modulator),
            ("final_layer.linear", &self.output),
        ];
        for (name, layer) in layers {
            list_linear(layer, &format!("{PREFIX}{name}"), names);
        }
        self.time.list(&format!("{PREFIX}time_embed."), names);
        for (i, block) in self.blocks.iter().enumerate() {
            block.list(&format!("{PREFIX}res_blocks.{i}."), names);
        }
    }

    /// The type of floats in which z is multiplied.
    pub(super) fn dtype(&self) -> DType {
        self.condition.weight.dtype()
    }

    /// What a hidden state z, `[rows, positions, C]`, says to every step: `[rows, positions, width]`.
    pub(super) fn conditioned(&self, z: Tensor<3>) -> Tensor<3> {
        self.condition.forward(z)
    }

    /// The embeddings of noise levels, `[1, 1, width]` each.
    pub(super) fn times(&self, levels: impl ExactSizeIterator<Item = usize>) -> Vec<Tensor<3>> {
        self.time.forward(levels)
    }

    /// From x `[rows, positions, channels]` at a noise level with this embedding, and what its hidden states
    /// say: `[rows, positions, 2·channels]`, the noise before the variance.
    pub(super) fn forward(&self, x: Tensor<3>, time: Tensor<3>, conditioned: Tensor<3>) -> Tensor<3> {
        let y = ops::silu(conditioned + time);
        let h = self.input.forward(x);
        let h = self.blocks.iter().fold(h, |h, block| block.forward(h, y.clone()));
        let [shift, scale] = parts(self.modulator.forward(y));
        self.output.forward(kernels::layer_norm(h, EPSILON) * (scale + 1.0) + shift)
    }
}

impl ResidualBlock {
    fn build<S: Supply>(supply: &mut S, prefix: &str, width: usize) -> Result<Self, S::Error> {
        Ok(Self {
            norm_weight: supply.param(&format!("{prefix}in_ln.weight"), [width])?,
            norm_bias: supply.param(&format!("{prefix}in_ln.bias"), [width])?,
            first: linear(supply, &format!("{prefix}mlp.0"), width, width)?,
            second: linear(supply, &format!("{prefix}mlp.2"), width, width)?,
            modulator: linear(supply, &format!("{prefix}adaLN_modulation.1"), width, 3 * width)?,
        })
    }

    fn list<'a>(&'a self, prefix: &str, names: &mut Vec<Named<'a>>) {
        names.push(Named::new(format!("{prefix}in_ln.weight"), Value::One(&self.norm_weight)));
        names.push(Named::new(format!("{prefix}in_ln.bias"), Value::One(&self.norm_bias)));
        list_linear(&self.first, &format!("{prefix}mlp.0"), names);
        list_linear(&self.second, &format!("{prefix}mlp.2"), names);
        list_linear(&self.modulator, &format!("{prefix}adaLN_modulation.1"), names);
    }

    /// h + gate ⊙ MLP(LN(h) ⊙ (1 + scale) + shift), for `y` after its SiLU.
    fn forward(&self, h: Tensor<3>, y: Tensor<3>) -> Tensor<3> {
        // Upstream's order here differs from that of the transformer's blocks.
        let [shift, scale, gate] = parts(self.modulator.forward(y));
        let normed = ops::norm(h.clone(), self.norm_weight.val(), self.norm_bias.val(), DType::F32);
        let x = normed * (scale + 1.0) + shift;
        h + gate * self.second.forward(ops::silu(self.first.forward(x)))
    }
}

/// `[rows, positions, N·width]` in N parts.
fn parts<const N: usize>(x: Tensor<3>) -> [Tensor<3>; N] {
    let width = x.dims()[2] / N;
    std::array::from_fn(|i| x.clone().slice_dim(2, i * width..(i + 1) * width))
}
