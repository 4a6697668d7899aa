use std::{collections::BTreeMap, path::Path};

use burn::tensor::TensorData;
use nextscale_weights::{Precision, save_safetensors};

use super::model::Var;
use crate::transformer::mask;

impl Var {
    /// Every trained parameter under upstream's key and in upstream's layout, copied from the device one by
    /// one.
    pub fn tensors(&self) -> impl Iterator<Item = (String, TensorData)> + '_ {
        self.parameters().into_iter().map(|named| {
            let data = named.data();
            (named.key, data)
        })
    }

    /// The buffers in upstream's files besides the parameters: `lvl_1L`, the additive mask and zero key
    /// biases. All follow from the architecture, but upstream's loader requires them.
    pub fn buffers(&self) -> Vec<(String, TensorData)> {
        let length = self.config.schedule.positions();
        let mask = mask::additive(&self.config.schedule);
        let mut buffers = vec![
            self.level_buffer(),
            ("attn_bias_for_masking".into(), TensorData::new(mask, [1, 1, length, length])),
        ];
        let width = self.config.width;
        buffers.extend((0..self.config.depth).map(|i| {
            (format!("blocks.{i}.attn.zero_k_bias"), TensorData::new(vec![0.0_f32; width], [width]))
        }));
        buffers
    }

    /// Writes a `.safetensors` file with upstream's keys that [`Var::open`] opens without further settings.
    /// Of the buffers it has only `lvl_1L`, unless `buffers` asks for all.
    ///
    /// # Errors
    /// If writing fails, or a value does not fit f16.
    pub fn save(
        &self,
        path: impl AsRef<Path>,
        precision: Precision,
        buffers: bool,
    ) -> Result<(), nextscale_weights::Error> {
        let buffers = if buffers { self.buffers() } else { vec![self.level_buffer()] };
        save_safetensors(path, self.tensors().chain(buffers), precision, &self.metadata())
    }

    /// The header's metadata: the heads, which cannot be inferred for plain attention.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("heads".into(), self.config.heads.to_string())])
    }

    fn level_buffer(&self) -> (String, TensorData) {
        let levels = mask::levels(&self.config.schedule);
        let length = levels.len();
        ("lvl_1L".into(), TensorData::new(levels, [1, length]))
    }
}
