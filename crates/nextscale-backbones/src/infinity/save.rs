use std::{collections::BTreeMap, path::Path};

use burn::tensor::TensorData;
use nextscale_weights::{Precision, save_safetensors};

use super::model::Infinity;

impl Infinity {
    /// Every trained parameter under upstream's key and in upstream's layout, copied from the device one by
    /// one.
    pub fn tensors(&self) -> impl Iterator<Item = (String, TensorData)> + '_ {
        self.parameters().into_iter().map(|named| {
            let data = named.data();
            (named.key, data)
        })
    }

    /// The buffers in upstream's files besides the parameters: key biases of zeros.
    pub fn buffers(&self) -> Vec<(String, TensorData)> {
        let width = self.config.width;
        let blocks = (0..self.config.depth).flat_map(|block| {
            let prefix = self.config.prefix(block);
            ["sa.", "ca."].map(|part| format!("{prefix}{part}"))
        });
        let prefixes = std::iter::once("text_proj_for_sos.ca.".to_owned()).chain(blocks);
        let zeros = || TensorData::new(vec![0.0_f32; width], [width]);
        prefixes.map(|prefix| (format!("{prefix}zero_k_bias"), zeros())).collect()
    }

    /// Writes a `.safetensors` file with upstream's keys that [`Infinity::open`] opens without further
    /// settings. With `buffers` it has everything that upstream's files have.
    ///
    /// # Errors
    /// If writing fails, or a value does not fit f16.
    pub fn save(
        &self,
        path: impl AsRef<Path>,
        precision: Precision,
        buffers: bool,
    ) -> Result<(), nextscale_weights::Error> {
        let buffers = if buffers { self.buffers() } else { Vec::new() };
        save_safetensors(path, self.tensors().chain(buffers), precision, &self.metadata())
    }

    /// The header's metadata: the scales, and the grid on which positions are counted, which no tensor shows.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("scales".into(), self.config.schedule.to_string()),
            ("positions".into(), self.config.positions.to_string()),
        ])
    }
}
