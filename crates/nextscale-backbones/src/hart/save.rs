use std::{collections::BTreeMap, path::Path};

use burn::tensor::TensorData;
use nextscale_weights::{Precision, save_safetensors};

use super::{
    config::{Modulated, Pooling},
    model::Hart,
};

impl Hart {
    /// Every trained parameter under upstream's key and in upstream's layout, copied from the device one by
    /// one.
    pub fn tensors(&self) -> impl Iterator<Item = (String, TensorData)> + '_ {
        self.parameters().into_iter().map(|named| {
            let data = named.data();
            (named.key, data)
        })
    }

    /// Writes a `.safetensors` file with upstream's keys that opens without a `config.json`.
    ///
    /// # Errors
    /// If writing fails, or a value does not fit f16.
    pub fn save(&self, path: impl AsRef<Path>, precision: Precision) -> Result<(), nextscale_weights::Error> {
        save_safetensors(path, self.tensors(), precision, &self.metadata())
    }

    /// The header's metadata: what tensors do not show.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let config = &self.config;
        let pooling = match config.modulated {
            Modulated::ByProjection(Pooling::Mean) => Some("avg"),
            Modulated::ByProjection(Pooling::Max) => Some("max"),
            Modulated::Nothing | Modulated::ByOffset => None,
        };
        let steps = config.residual.map(|residual| ("steps".to_owned(), residual.steps.to_string()));
        [
            ("scales".to_owned(), config.schedule.to_string()),
            ("heads".to_owned(), config.heads.to_string()),
            ("context".to_owned(), config.context.to_string()),
        ]
        .into_iter()
        .chain(pooling.map(|pooling| ("pooling".to_owned(), pooling.to_owned())))
        .chain(steps)
        .collect()
    }
}
