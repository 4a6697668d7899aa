use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor, TensorData},
};

use super::config::{HartConfig, Levels};
use crate::transformer::{
    Linear, Named,
    keys::{Supply, Value, linear, list_linear},
    ops,
};

/// Channels of the sinusoids of a number.
pub(super) const SINUSOIDS: usize = 256;

/// The features of the earlier scales and the scale's number.
#[derive(Module, Debug)]
pub struct Embedding {
    word_embed: Linear,
    level: Level,
}

/// The embedding of a scale's number.
#[allow(clippy::large_enum_variant)] // one per model
#[derive(Module, Debug)]
pub enum Level {
    /// From sinusoids.
    Sinusoids(Sinusoidal),
    /// `[scales, width]`.
    Table(Param<Tensor<2>>),
}

/// An MLP of the sinusoids of a number.
#[derive(Module, Debug)]
pub struct Sinusoidal {
    first: Linear,
    second: Linear,
}

impl Sinusoidal {
    pub(super) fn build<S: Supply>(supply: &mut S, prefix: &str, width: usize) -> Result<Self, S::Error> {
        Ok(Self {
            first: linear(supply, &format!("{prefix}mlp.0"), SINUSOIDS, width)?,
            second: linear(supply, &format!("{prefix}mlp.2"), width, width)?,
        })
    }

    pub(super) fn list<'a>(&'a self, prefix: &str, names: &mut Vec<Named<'a>>) {
        list_linear(&self.first, &format!("{prefix}mlp.0"), names);
        list_linear(&self.second, &format!("{prefix}mlp.2"), names);
    }

    /// The embeddings of numbers, `[1, 1, width]` each, with one copy to the device.
    pub(super) fn forward(&self, numbers: impl ExactSizeIterator<Item = usize>) -> Vec<Tensor<3>> {
        let device = self.first.bias.lazy_device();
        let shape = [numbers.len(), 1, SINUSOIDS];
        let values = TensorData::new(numbers.flat_map(sinusoids).collect(), shape);
        let x: Tensor<3> = Tensor::from_data(values, &device);
        // One by one, so that an embedding does not depend on how many others there are.
        let of = |i| self.second.forward(ops::silu(self.first.forward(x.clone().slice_dim(0, i..i + 1))));
        (0..shape[0]).map(of).collect()
    }
}

/// Cosines, then sines, of a number times falling frequencies, in upstream's f32.
fn sinusoids(number: usize) -> Vec<f32> {
    let half = SINUSOIDS / 2;
    let angle = |i: usize| {
        let frequency = (-(10_000_f32.ln()) * i as f32 / half as f32).exp();
        f64::from(number as f32 * frequency)
    };
    let cosines = (0..half).map(|i| angle(i).cos() as f32);
    cosines.chain((0..half).map(|i| angle(i).sin() as f32)).collect()
}

impl Embedding {
    pub(super) fn build<S: Supply>(supply: &mut S, config: &HartConfig) -> Result<Self, S::Error> {
        let HartConfig { width, feature_channels, .. } = *config;
        let level = match config.levels {
            Levels::Sinusoids => Level::Sinusoids(Sinusoidal::build(supply, "lvl_embed.", width)?),
            Levels::Table(rows) => Level::Table(supply.param("lvl_embed.weight", [rows, width])?),
        };
        Ok(Self { word_embed: linear(supply, "word_embed", feature_channels, width)?, level })
    }

    pub(super) fn list<'a>(&'a self, names: &mut Vec<Named<'a>>) {
        list_linear(&self.word_embed, "word_embed", names);
        match &self.level {
            Level::Sinusoids(mlp) => mlp.list("lvl_embed.", names),
            Level::Table(table) => names.push(Named::new("lvl_embed.weight".into(), Value::Table(table))),
        }
    }

    /// The device of the weights.
    pub(super) fn device(&self) -> Device {
        self.word_embed.bias.lazy_device()
    }

    /// Features `[rows, positions, channels]` as `[rows, positions, width]`.
    pub(super) fn words(&self, features: Tensor<3>) -> Tensor<3> {
        self.word_embed.forward(features)
    }

    /// The embeddings of the first scales' numbers, `[1, 1, width]` each.
    pub(super) fn levels(&self, scales: usize) -> Vec<Tensor<3>> {
        match &self.level {
            Level::Sinusoids(mlp) => mlp.forward(0..scales),
            Level::Table(table) => {
                (0..scales).map(|k| table.val().slice_dim(0, k..k + 1).unsqueeze()).collect()
            }
        }
    }
}
