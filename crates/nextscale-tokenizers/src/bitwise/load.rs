use std::{collections::BTreeMap, path::Path};

use burn::tensor::{Device, TensorData};
use nextscale_core::{Error, ScaleSchedule};
use nextscale_weights::{LoadError, Precision, WeightFile, save_safetensors};

use super::{
    BsqVae, BsqVaeConfig, MultiScaleBsq, Scales,
    infer::has_encoder,
    keys::{name, rooted, wrapped},
};
use crate::autoencoder::parameters;

/// What a file's header says about a tokenizer whose tokens stand for 2 × 2 latents.
const PATCHES: &str = "patches";

impl BsqVaeConfig {
    /// Compares every name and shape with a file's header without reading values.
    ///
    /// # Errors
    /// If a tensor is missing, unexpected or misshapen, or the sizes are invalid.
    pub fn check_file(&self, file: &WeightFile, with_encoder: bool) -> Result<(), LoadError> {
        self.check()?;
        let file = rooted(file)?;
        self.expected(&file, with_encoder || has_encoder(&file)).check(&file)?;
        Ok(())
    }
}

impl MultiScaleBsq {
    /// Opens a checkpoint, upstream's own or one in its format: `.pth` or `.safetensors`, flat or nested, of
    /// any float width, with or without upstream's wrapping of layers. The architecture is inferred from its
    /// tensors; see [`BsqVaeConfig::infer`] for the norm groups. `patches` as for [`Scales::new`].
    ///
    /// # Errors
    /// If the file cannot be read or is not a bitwise tokenizer, a tensor is missing, unexpected or
    /// misshapen, or the settings do not fit.
    pub fn open(
        path: impl AsRef<Path>,
        schedule: ScaleSchedule,
        patches: bool,
        with_encoder: bool,
        device: &Device,
    ) -> Result<Self, LoadError> {
        let file = WeightFile::open(path)?;
        let config = BsqVaeConfig::infer(&file, None)?;
        Self::load(&file, config, schedule, patches, with_encoder, device)
    }

    /// Loads a tokenizer with its encoder, on the scales stated in the file, as training writes it.
    ///
    /// # Errors
    /// As [`open`](Self::open), or if the file states no scales.
    pub fn load_own(file: &WeightFile, device: &Device) -> Result<Self, LoadError> {
        let said = file.metadata().get("scales").ok_or_else(|| {
            let message = format!("{} says none; give the whole model that it is part of", file.label());
            Error::setting("scales", message)
        })?;
        let patches = file.metadata().contains_key(PATCHES);
        let config = BsqVaeConfig::infer(file, None)?;
        Self::load(file, config, said.parse()?, patches, true, device)
    }

    /// Loads a tokenizer of this architecture. Every name and shape in the file is checked before any value
    /// is read. Without the encoder, which generation does not need, its values are not read and may be
    /// absent.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn load(
        file: &WeightFile,
        config: BsqVaeConfig,
        schedule: ScaleSchedule,
        patches: bool,
        with_encoder: bool,
        device: &Device,
    ) -> Result<Self, LoadError> {
        config.check_file(file, with_encoder)?;
        let file = rooted(file)?;
        let empty = BsqVae::empty(&config, with_encoder, device);
        let supply = |key: &str, _: &[usize]| file.weights(key).map(|(values, _)| values);
        let vae = parameters::fill(empty, |path| name(&file, path), device, supply)?;
        let scales = Scales::new(schedule, patches, device);
        Ok(Self { vae, scales, config })
    }

    /// Every parameter under upstream's key.
    pub fn tensors(&self) -> Vec<(String, TensorData)> {
        parameters::values(&self.vae, wrapped)
    }

    /// The header's metadata: settings that tensors do not show, and the scales.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let groups = self.config.norm_groups.map(|groups| ("norm_groups".into(), groups.to_string()));
        let scales = ("scales".into(), self.scales.schedule().to_string());
        let patches = self.scales.patches().then(|| (PATCHES.into(), "2".into()));
        groups.into_iter().chain([scales]).chain(patches).collect()
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
