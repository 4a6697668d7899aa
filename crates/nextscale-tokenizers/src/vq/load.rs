use std::{collections::BTreeMap, path::Path};

use burn::tensor::{Device, TensorData};
use nextscale_core::ScaleSchedule;
use nextscale_weights::{LoadError, Precision, WeightFile, save_safetensors};

use super::{
    MultiScaleVq, Scales, Vqvae, VqvaeConfig,
    infer::{HITS, has_encoder},
    keys,
};

impl MultiScaleVq {
    /// Opens a checkpoint, upstream's own or one in its format: `.pth` or `.safetensors`, flat or nested, of
    /// any float width. The architecture is inferred from its tensors; see [`VqvaeConfig::infer`] for the
    /// norm groups.
    ///
    /// # Errors
    /// If the file cannot be read or is not a VQVAE, a tensor is missing, unexpected or misshapen, or the
    /// settings do not fit.
    pub fn open(
        path: impl AsRef<Path>,
        schedule: ScaleSchedule,
        norm_groups: impl Into<Option<usize>>,
        with_encoder: bool,
        device: &Device,
    ) -> Result<Self, LoadError> {
        Self::load(&WeightFile::open(path)?, schedule, norm_groups, with_encoder, device)
    }

    /// Loads a tokenizer. Every name and shape in the file is checked before any value is read. Without the
    /// encoder, which generation does not need, its values are not read and may be absent.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn load(
        file: &WeightFile,
        schedule: ScaleSchedule,
        norm_groups: impl Into<Option<usize>>,
        with_encoder: bool,
        device: &Device,
    ) -> Result<Self, LoadError> {
        let file = file.rooted("quantize.embedding.weight")?;
        let config = VqvaeConfig::infer(&file, norm_groups.into())?;
        config.check(&schedule)?;
        config.expected(schedule.len(), with_encoder || has_encoder(&file)).check(&file)?;
        let scales = Scales::new(schedule, config.phi, device);
        Self::read(&file, config, scales, with_encoder, device)
    }

    /// Reads the values of a file whose names and shapes have been checked.
    pub(crate) fn read(
        file: &WeightFile,
        config: VqvaeConfig,
        scales: Scales,
        with_encoder: bool,
        device: &Device,
    ) -> Result<Self, LoadError> {
        let empty = Vqvae::empty(&config, scales.len(), with_encoder, device);
        let vqvae =
            keys::fill(empty, config.phi, device, |key, _| file.weights(key).map(|(values, _)| values))?;
        Ok(Self { vqvae, scales, config })
    }

    /// Whether a file has the encoder's half, which a tokenizer that only decodes does not need.
    pub fn has_encoder(file: &WeightFile) -> bool {
        has_encoder(file)
    }

    /// Every parameter under upstream's key, and the buffer that upstream's loader requires.
    pub fn tensors(&self) -> Vec<(String, TensorData)> {
        let mut tensors = keys::values(&self.vqvae, self.config.phi);
        let shape = [self.scales.len(), self.config.vocabulary];
        tensors.push((HITS.into(), TensorData::zeros::<f32, _>(shape)));
        tensors
    }

    /// The header's metadata: settings that tensors do not show, and the scales.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            ("norm_groups".into(), self.config.norm_groups.to_string()),
            ("phi_ratio".into(), self.config.phi_ratio.to_string()),
            ("scales".into(), self.scales.schedule().to_string()),
        ])
    }

    /// Writes a `.safetensors` file with upstream's keys that [`open`](Self::open) opens without further
    /// settings.
    ///
    /// # Errors
    /// If writing fails, or a value does not fit f16.
    pub fn save(&self, path: impl AsRef<Path>, precision: Precision) -> Result<(), nextscale_weights::Error> {
        save_safetensors(path, self.tensors(), precision, &self.metadata())
    }
}
