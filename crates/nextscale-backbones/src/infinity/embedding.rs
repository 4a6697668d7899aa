use burn::{
    module::{Module, Param},
    tensor::{Device, Tensor},
};

use super::config::InfinityConfig;
use crate::transformer::{
    Linear, Named,
    keys::{Supply, Value, linear, list_linear},
};

/// The bits of the earlier scales, the start and the scale's number: everything that enters the first block.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[1, 1, width]`, added to the text's vector at scale 0.
    pos_start: Param<Tensor<3>>,
    /// `[levels, width]`, added once, before the first block.
    lvl_embed: Param<Tensor<2>>,
    word_embed: Linear,
}

impl Embedding {
    pub(super) fn build<S: Supply>(supply: &mut S, config: &InfinityConfig) -> Result<Self, S::Error> {
        let InfinityConfig { width, bits, levels, .. } = *config;
        Ok(Self {
            pos_start: supply.param("pos_start", [1, 1, width])?,
            lvl_embed: supply.param("lvl_embed.weight", [levels, width])?,
            word_embed: linear(supply, "word_embed", bits, width)?,
        })
    }

    pub(super) fn list<'a>(&'a self, names: &mut Vec<Named<'a>>) {
        names.push(Named::new("pos_start".into(), Value::Three(&self.pos_start)));
        names.push(Named::new("lvl_embed.weight".into(), Value::Table(&self.lvl_embed)));
        list_linear(&self.word_embed, "word_embed", names);
    }

    /// The device of the weights.
    pub(super) fn device(&self) -> Device {
        self.pos_start.lazy_device()
    }

    /// The input of scale 0 from the texts' vectors `[rows, width]`: `[rows, 1, width]`.
    pub(super) fn start(&self, texts: Tensor<2>) -> Tensor<3> {
        texts.unsqueeze_dim::<3>(1) + self.pos_start.val() + self.level(0)
    }

    /// The input of scale `k` ≥ 1 from its features `[batch, h·w, bits]`: `[batch, h·w, width]`.
    pub(super) fn features(&self, features: Tensor<3>, k: usize) -> Tensor<3> {
        self.word_embed.forward(features) + self.level(k)
    }

    fn level(&self, k: usize) -> Tensor<3> {
        self.lvl_embed.val().slice_dim(0, k..k + 1).unsqueeze()
    }
}
