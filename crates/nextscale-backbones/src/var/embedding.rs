use burn::{
    module::{Module, Param},
    tensor::{Device, Int, Tensor, TensorData},
};
use nextscale_core::ScaleSchedule;

use super::config::VarConfig;
use crate::transformer::{
    Linear, Named, Weight,
    keys::{Supply, Value, linear, list_linear},
};

/// Classes, features, positions and levels: everything that enters the first block.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[1, positions of scale 0, width]`, added only to the start token.
    pos_start: Param<Tensor<3>>,
    /// `[1, positions, width]`.
    pos_all: Param<Tensor<3>>,
    word_embed: Linear,
    /// `[classes + 1, width]`; the last row is the null class.
    class_emb: Param<Tensor<2>>,
    /// `[scales, width]`.
    lvl_embed: Param<Tensor<2>>,
    /// What every position has, `[1, positions, width]`: if no weight changes any more, and elsewhere than on the CPU.
    #[module(skip)]
    places: Option<Tensor<3>>,
}

impl Embedding {
    pub(super) fn build<S: Supply>(supply: &mut S, config: &VarConfig) -> Result<Self, S::Error> {
        let VarConfig { schedule, width, classes, feature_channels, .. } = config;
        let mut embedding = Self {
            pos_start: supply.param("pos_start", [1, schedule.grid(0).positions(), *width])?,
            pos_all: supply.param("pos_1LC", [1, schedule.positions(), *width])?,
            word_embed: linear(supply, "word_embed", *feature_channels, *width)?,
            class_emb: supply.param("class_emb.weight", [classes + 1, *width])?,
            lvl_embed: supply.param("lvl_embed.weight", [schedule.len(), *width])?,
            places: None,
        };
        if let Weight::Still(_) = embedding.word_embed.weight {
            let places = (0..schedule.len()).map(|k| embedding.places(schedule, k)).collect();
            embedding.places = Some(Tensor::cat(places, 1));
        }
        Ok(embedding)
    }

    pub(super) fn list<'a>(&'a self, names: &mut Vec<Named<'a>>) {
        names.push(Named::new("pos_start".into(), Value::Three(&self.pos_start)));
        names.push(Named::new("pos_1LC".into(), Value::Three(&self.pos_all)));
        list_linear(&self.word_embed, "word_embed", names);
        names.push(Named::new("class_emb.weight".into(), Value::Table(&self.class_emb)));
        names.push(Named::new("lvl_embed.weight".into(), Value::Table(&self.lvl_embed)));
    }

    /// The device of the weights.
    pub(super) fn device(&self) -> Device {
        self.pos_start.lazy_device()
    }

    /// Rows of the class table, `[rows, width]`.
    pub(super) fn classes(&self, rows: &[usize]) -> Tensor<2> {
        let table = self.class_emb.val();
        let indices: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let indices: Tensor<1, Int> =
            Tensor::from_data(TensorData::new(indices, [rows.len()]), &table.device());
        table.select(0, indices)
    }

    /// The input of scale 0 from class embeddings `[rows, width]`: `[rows, positions of scale 0, width]`.
    pub(super) fn start(&self, classes: Tensor<2>, schedule: &ScaleSchedule) -> Tensor<3> {
        let classes: Tensor<3> = classes.unsqueeze_dim(1);
        classes + self.pos_start.val() + self.places(schedule, 0)
    }

    /// The input of scale `k` ≥ 1 from its features `[batch, h·w, channels]`: `[batch, h·w, width]`.
    pub(super) fn features(&self, features: Tensor<3>, schedule: &ScaleSchedule, k: usize) -> Tensor<3> {
        self.word_embed.forward(features) + self.places(schedule, k)
    }

    /// Position and level embeddings of scale `k`, `[1, h·w, width]`.
    fn places(&self, schedule: &ScaleSchedule, k: usize) -> Tensor<3> {
        let first = schedule.offset(k);
        let of_scale = first..first + schedule.grid(k).positions();
        if let Some(places) = &self.places {
            return places.clone().slice_dim(1, of_scale);
        }
        let positions = self.pos_all.val().slice_dim(1, of_scale);
        positions + self.lvl_embed.val().slice_dim(0, k..k + 1).unsqueeze()
    }
}
