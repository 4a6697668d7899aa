use std::path::Path;

use burn::tensor::{Device, TensorData};
use nextscale_core::{Error, ScaleSchedule};
use nextscale_weights::{ExpectedTensors, LoadError, Precision, Result, WeightFile, save_safetensors};

use super::{HybridVq, hybrid_vq::scales};
use crate::vq::{MultiScaleVq, VqvaeConfig};

/// The dictionary that holds the autoencoder in upstream's files, beside a discriminator's.
const ROOT: &str = "vae";
/// A tensor of every such file.
const MARK: &str = "quantize.embedding.weight";
/// Upstream's second decoder, for discrete tokens only, which its generation does not use.
const UNUSED: [&str; 2] = ["decoder2.*", "post_quant_conv2.*"];

/// The file at the dictionary that holds the autoencoder.
fn rooted(file: &WeightFile) -> Result<WeightFile> {
    let inside = file.within(ROOT);
    if inside.info(MARK).is_some() { Ok(inside) } else { file.rooted(MARK) }
}

impl HybridVq {
    /// Whether a file is upstream's tokenizer, judging by its names: everything is under `vae`.
    pub fn is_of(file: &WeightFile) -> bool {
        file.within(ROOT).info(MARK).is_some()
    }

    /// Infers the architecture from a file's header; see [`VqvaeConfig::infer`] for the norm groups.
    ///
    /// # Errors
    /// If the telling tensors are missing or impossible, with their names and shapes.
    pub fn infer(file: &WeightFile, norm_groups: Option<usize>) -> Result<VqvaeConfig> {
        VqvaeConfig::infer(&rooted(file)?, norm_groups)
    }

    /// Compares every name and shape with a file's header without reading values.
    ///
    /// # Errors
    /// If a tensor is missing, unexpected or misshapen, or the sizes are invalid.
    pub fn check_file(
        file: &WeightFile,
        config: &VqvaeConfig,
        schedule: &ScaleSchedule,
        with_encoder: bool,
    ) -> Result<(), LoadError> {
        config.check(schedule)?;
        let file = rooted(file)?;
        let with_encoder = with_encoder || MultiScaleVq::has_encoder(&file);
        let expected = config.expected(schedule.len(), with_encoder);
        UNUSED.into_iter().fold(expected, ExpectedTensors::ignore).check(&file)?;
        Ok(())
    }

    /// Loads a tokenizer of this architecture from upstream's file or one in its format. Every name and shape
    /// is checked before any value is read. Without the encoder, which generation does not need, its values
    /// are not read and may be absent.
    ///
    /// # Errors
    /// If the file is not such a tokenizer, a tensor is missing, unexpected or misshapen, or the settings do
    /// not fit.
    pub fn load(
        file: &WeightFile,
        config: VqvaeConfig,
        schedule: ScaleSchedule,
        with_encoder: bool,
        device: &Device,
    ) -> Result<Self, LoadError> {
        Self::check_file(file, &config, &schedule, with_encoder)?;
        let scales = scales(schedule, &config, device);
        Ok(Self { vq: MultiScaleVq::read(&rooted(file)?, config, scales, with_encoder, device)? })
    }

    /// Loads a tokenizer with its encoder, on the scales stated in the file, as [`save`](Self::save) writes
    /// them.
    ///
    /// # Errors
    /// As [`load`](Self::load), or if the file states no scales.
    pub fn load_own(file: &WeightFile, device: &Device) -> Result<Self, LoadError> {
        let said = file.metadata().get("scales").ok_or_else(|| {
            let message = format!("{} says none; give the whole model that it is part of", file.label());
            Error::setting("scales", message)
        })?;
        let config = Self::infer(file, None)?;
        Self::load(file, config, said.parse()?, true, device)
    }

    /// Every parameter under upstream's key, and the buffer that upstream's loader requires.
    pub fn tensors(&self) -> impl Iterator<Item = (String, TensorData)> {
        self.vq.tensors().into_iter().map(|(key, data)| (format!("{ROOT}.{key}"), data))
    }

    /// Writes a `.safetensors` file with upstream's keys, and the scales and what leaves no trace in tensors
    /// in its metadata.
    ///
    /// # Errors
    /// If writing fails, or a value does not fit f16.
    pub fn save(&self, path: impl AsRef<Path>, precision: Precision) -> Result<()> {
        save_safetensors(path, self.tensors(), precision, &self.vq.metadata())
    }
}
