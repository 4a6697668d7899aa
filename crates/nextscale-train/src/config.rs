//! The settings that all training runs share. A family's own config has these among its fields.

use std::path::{Path, PathBuf};

use nextscale_core::{Dtype, memory};
use serde::{Deserialize, Serialize};

use crate::data::Source;
use crate::discriminator::check_channels;
use crate::progress::say;
use crate::run::{Options, Training};
use crate::{Error, Result};

/// The settings shared by all trainings of tokenizers, with codes or bits.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizerSettings {
    /// The images.
    pub data: Source,
    /// Determines the initial weights, the order of images, flips, and all other randomness.
    pub seed: u64,
    /// Optimiser steps.
    pub steps: u64,
    /// Images per step.
    pub batch: usize,
    /// Mirror half of the images.
    pub flips: bool,
    /// Which part is trained.
    pub learn: Learn,
    /// The weight of the error of pixel gradients relative to the squared error.
    pub gradient_weight: f64,
    /// A distance between a classifier's features, in addition to that of pixels.
    pub perceptual: Option<PerceptualTerm>,
    /// A discriminator that learns to tell reconstructions from images, as an additional loss term.
    pub adversarial: Option<AdversarialTerm>,
    /// Weights to start from instead of fresh ones.
    pub start: Option<PathBuf>,
    /// Weight of the quantiser's loss.
    pub quantiser_weight: f64,
    /// The type of convolutions' inputs: `f32`, or `bf16` for mixed precision.
    pub dtype: Dtype,
    /// Optimiser, schedule, log.
    pub training: Training,
}

/// The settings shared by all trainings of backbones.
#[derive(Debug, Clone, PartialEq)]
pub struct BackboneSettings {
    /// The images.
    pub data: Source,
    /// The tokenizer's weights.
    pub tokenizer: PathBuf,
    /// Determines the initial weights, the order of images, the dropped conditions, and all other
    /// randomness.
    pub seed: u64,
    /// Optimiser steps.
    pub steps: u64,
    /// Images per step.
    pub batch: usize,
    /// Train on mirrored images too (augmentation).
    pub flips: bool,
    /// Shift images at random by up to this many pixels in each direction (augmentation).
    pub shift: usize,
    /// Weights to start from instead of fresh ones.
    pub start: Option<PathBuf>,
    /// The share of conditions that are dropped, for classifier-free guidance.
    pub label_dropout: f64,
    /// The type of the inputs of linear layers and attention: `f32`, or `bf16` for mixed precision.
    pub dtype: Dtype,
    /// Optimiser, schedule, log.
    pub training: Training,
}

/// Which part of a tokenizer is trained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Learn {
    /// All of it.
    #[default]
    All,
    /// Only the decoder. The encoder, the codes and φ stay those of `start` bit for bit, so its tokens, and
    /// backbones trained on them, stay valid.
    Decoder,
}

/// The perceptual term of a tokenizer's loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerceptualTerm {
    /// The classifier's weights, as its training wrote them.
    pub classifier: PathBuf,
    /// Weight of the distance.
    pub weight: f64,
}

/// The adversarial term of a tokenizer's loss.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdversarialTerm {
    /// Weight of the discriminator's loss on reconstructions.
    pub weight: f64,
    /// The first step whose loss includes it. The discriminator trains from the start.
    pub from_step: u64,
    /// Channels of the discriminator at full size, a multiple of 8; every halving doubles them.
    pub channels: usize,
}

impl PerceptualTerm {
    /// The same with a relative path taken from `base`.
    #[must_use]
    pub fn relative_to(&self, base: &Path) -> Self {
        Self { classifier: base.join(&self.classifier), ..self.clone() }
    }
}

/// A classifier's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainClassifier {
    /// The images.
    pub data: Source,
    /// Determines the initial weights, the order of images and flips.
    #[serde(default)]
    pub seed: u64,
    /// Optimiser steps.
    pub steps: u64,
    /// Images per step.
    pub batch: usize,
    /// Mirror half of the images.
    #[serde(default = "yes")]
    pub flips: bool,
    /// Channels at full size; every stage has twice as many as the one before. A multiple of 8.
    pub channels: usize,
    /// Stages, each at half the size of the one before.
    pub stages: usize,
    /// The type of convolutions' inputs: `f32`, or `bf16` for mixed precision, as in a tokenizer's training.
    #[serde(default)]
    pub dtype: Dtype,
    /// Optimiser, schedule, log.
    #[serde(default)]
    pub training: Training,
}

impl TrainClassifier {
    /// Checks settings that nothing else checks.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the field.
    pub fn check(&self) -> Result<()> {
        self.training.check(self.steps, self.batch)
    }

    /// The same config with relative paths taken from `base`, the folder of the config's file.
    #[must_use]
    pub fn relative_to(&self, base: &Path) -> Self {
        Self { data: self.data.relative_to(base), ..self.clone() }
    }
}

impl TokenizerSettings {
    /// Checks settings that nothing else checks.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the field.
    pub fn check(&self) -> Result<()> {
        self.training.check(self.steps, self.batch)?;
        let perceptual = self.perceptual.as_ref().map_or(0.0, |term| term.weight);
        let adversarial = self.adversarial.as_ref().map_or(0.0, |term| term.weight);
        for (field, weight) in [
            ("gradient_weight", self.gradient_weight),
            ("quantiser_weight", self.quantiser_weight),
            ("perceptual.weight", perceptual),
            ("adversarial.weight", adversarial),
        ] {
            if !(weight.is_finite() && weight >= 0.0) {
                return Err(Error::setting(field, format!("{weight} is not a weight; give 0 or more")));
            }
        }
        if let Some(term) = &self.adversarial {
            check_channels(term.channels)?;
        }
        if self.learn == Learn::Decoder && self.start.is_none() {
            return Err(Error::setting(
                "start",
                "`learn: Decoder` keeps the encoder and the codes of a trained tokenizer; give its weights",
            ));
        }
        Ok(())
    }
}

impl BackboneSettings {
    /// Checks settings that nothing else checks.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the field.
    pub fn check(&self) -> Result<()> {
        self.training.check(self.steps, self.batch)?;
        if !(0.0..=1.0).contains(&self.label_dropout) {
            return Err(Error::setting(
                "label_dropout",
                format!("{} is not a share; give a number from 0 to 1", self.label_dropout),
            ));
        }
        Ok(())
    }
}

impl Training {
    /// Checks the settings for a run of `steps` steps of `batch` images each.
    ///
    /// # Errors
    /// [`Error::Setting`] with the field and its allowed values.
    pub fn check(&self, steps: u64, batch: usize) -> Result<()> {
        if steps == 0 {
            return Err(Error::setting("steps", "0 trains nothing; give at least 1"));
        }
        if batch == 0 {
            return Err(Error::setting("batch", "0 images a step; give at least 1"));
        }
        let listed = (batch as u128).saturating_mul(LISTED);
        memory::check("batch", &format!("the list of {batch} images a step"), listed)?;
        if self.micro_batches == 0 || self.micro_batches > batch {
            return Err(Error::setting(
                "micro_batches",
                format!(
                    "{} parts of {batch} images; give 1 to {batch}, for speed the number of threads",
                    self.micro_batches
                ),
            ));
        }
        self.schedule.check()?;
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return Err(Error::setting(
                "learning_rate",
                format!("{} trains nothing; give a number above 0, like 1e-4", self.learning_rate),
            ));
        }
        self.optimiser.check()?;
        let decay = self.learning_rate * self.optimiser.weight_decay;
        check_decay("training.optimiser.weight_decay", self.optimiser.weight_decay, decay)?;
        if let Some(muon) = &self.muon {
            let positive = |value: f64| value.is_finite() && value > 0.0;
            for (field, value, fits, remedy) in [
                ("training.muon.rate", muon.rate, positive(muon.rate), "a number above 0, like 2"),
                (
                    "training.muon.momentum",
                    muon.momentum,
                    (0.0..1.0).contains(&muon.momentum),
                    "a number from 0 to below 1, like 0.95",
                ),
                (
                    "training.muon.weight_decay",
                    muon.weight_decay,
                    muon.weight_decay == 0.0 || positive(muon.weight_decay),
                    "0 or more",
                ),
            ] {
                if !fits {
                    return Err(Error::setting(field, format!("{value} does not train; give {remedy}")));
                }
            }
            let decay = self.learning_rate * muon.rate * muon.weight_decay;
            check_decay("training.muon.weight_decay", muon.weight_decay, decay)?;
        }
        if !(0.0..1.0).contains(&self.ema) {
            return Err(Error::setting(
                "ema",
                format!("{} is not a decay; give 0 (off) or a number below 1", self.ema),
            ));
        }
        Ok(())
    }
}

impl Training {
    /// Refuses a batch that certainly exceeds the available memory, given the bytes that an image
    /// takes at least while its micro-batch is processed.
    ///
    /// # Errors
    /// [`Error::Setting`] with the memory that the batch needs and the memory available.
    pub fn fits(&self, batch: usize, bytes_of_image: u128) -> Result<()> {
        let side_by_side = self.micro_batches.min(rayon::current_num_threads());
        let at_once = batch.div_ceil(self.micro_batches.max(1)).saturating_mul(side_by_side).min(batch);
        let bytes = bytes_of_image.saturating_mul(at_once as u128);
        let what = format!("training on {at_once} images at once (in more `micro_batches` they are fewer)");
        Ok(memory::check("batch", &what, bytes)?)
    }
}

/// Refuses a decay that would turn the sign of every weight in an update: `share` of each is taken off.
fn check_decay(field: &str, weight_decay: f64, share: f64) -> Result<()> {
    if share <= 1.0 {
        return Ok(());
    }
    Err(Error::setting(
        field,
        format!(
            "{weight_decay:?} at this learning rate takes {share:.3e} times each weight off in every update; lower it to at most {:.3e}",
            weight_decay / share
        ),
    ))
}

/// Prints a notice if the batch is larger than the data, so that a step uses some images several
/// times.
pub(crate) fn tell_repeats(batch: usize, images: usize, options: &Options) {
    if batch > images && !options.quiet {
        say(&format!(
            "batch: a step takes {batch} images and the training split has {images}; some are used several times in every step"
        ));
    }
}

/// A lower bound on the bytes that a step keeps for an image besides its values: its index and its
/// random choices.
const LISTED: u128 = 64;

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::muon::MuonConfig;
    use crate::optimiser::AdamWConfig;
    use crate::schedule::{Schedule, Shape};

    #[test]
    fn the_classifier_that_comes_with_the_program_makes_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/train/cifar10-classifier.ron");
        let classifier: TrainClassifier = ron::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        classifier.check().unwrap();
        assert!(classifier.relative_to(Path::new("/a")).data != classifier.data);
    }

    #[test]
    fn settings_that_train_nothing_are_named() {
        let good = TokenizerSettings {
            data: Source::Cifar10("x".into()),
            seed: 0,
            steps: 1,
            batch: 1,
            flips: true,
            learn: Learn::All,
            gradient_weight: 0.0,
            perceptual: None,
            adversarial: None,
            start: None,
            quantiser_weight: 0.5,
            dtype: Dtype::F32,
            training: Training::default(),
        };
        good.check().unwrap();
        let adversarial = |weight, channels| Some(AdversarialTerm { weight, from_step: 0, channels });
        let training = |learning_rate, ema| Training { learning_rate, ema, ..Training::default() };
        for (settings, field) in [
            (TokenizerSettings { steps: 0, ..good.clone() }, "steps"),
            (TokenizerSettings { batch: 0, ..good.clone() }, "batch"),
            (TokenizerSettings { batch: usize::MAX, ..good.clone() }, "batch"),
            (TokenizerSettings { training: training(0.0, 0.0), ..good.clone() }, "learning_rate"),
            (TokenizerSettings { training: training(1e-3, 1.0), ..good.clone() }, "ema"),
            (TokenizerSettings { gradient_weight: -1.0, ..good.clone() }, "gradient_weight"),
            (TokenizerSettings { learn: Learn::Decoder, ..good.clone() }, "start"),
            (
                TokenizerSettings { adversarial: adversarial(f64::NAN, 8), ..good.clone() },
                "adversarial.weight",
            ),
            (TokenizerSettings { adversarial: adversarial(0.1, 12), ..good.clone() }, "adversarial.channels"),
        ] {
            let message = settings.check().unwrap_err().to_string();
            assert!(message.starts_with(field), "{message}");
        }
        let optimiser = AdamWConfig::default();
        for (optimiser, field) in [
            (AdamWConfig { beta1: 2.0, ..optimiser }, "beta1"),
            (AdamWConfig { beta1: f64::NAN, ..optimiser }, "beta1"),
            (AdamWConfig { beta2: -1.0, ..optimiser }, "beta2"),
            (AdamWConfig { beta2: 1.0, ..optimiser }, "beta2"),
            (AdamWConfig { epsilon: -1.0, ..optimiser }, "epsilon"),
            (AdamWConfig { epsilon: 0.0, ..optimiser }, "epsilon"),
            (AdamWConfig { epsilon: f64::INFINITY, ..optimiser }, "epsilon"),
            (AdamWConfig { weight_decay: -0.1, ..optimiser }, "weight_decay"),
            (AdamWConfig { weight_decay: f64::NAN, ..optimiser }, "weight_decay"),
            (AdamWConfig { weight_decay: 1e30, ..optimiser }, "weight_decay"),
            (AdamWConfig { clip: -1.0, ..optimiser }, "clip"),
            (AdamWConfig { clip: f64::NAN, ..optimiser }, "clip"),
        ] {
            let training = Training { optimiser, ..Training::default() };
            let message = training.check(1, 1).unwrap_err().to_string();
            assert!(message.starts_with(&format!("training.optimiser.{field}: ")), "{message}");
        }
        AdamWConfig { beta1: 0.0, beta2: 0.0, weight_decay: 0.0, clip: 0.0, ..optimiser }.check().unwrap();
        let schedule = Schedule::default();
        for (schedule, field) in [
            (Schedule { warmup_from: -3.0, ..schedule }, "warmup_from"),
            (Schedule { warmup_from: f64::NAN, ..schedule }, "warmup_from"),
            (Schedule { shape: Shape::Cosine { end: -5.0 }, ..schedule }, "shape.end"),
            (Schedule { shape: Shape::Lin0 { end: f64::NAN }, ..schedule }, "shape.end"),
            (Schedule { shape: Shape::Trapezoid { from: 0.5, end: 2.0 }, ..schedule }, "shape.end"),
            (Schedule { shape: Shape::Trapezoid { from: 1.0, end: 0.0 }, ..schedule }, "shape.from"),
        ] {
            let training = Training { schedule, ..Training::default() };
            let message = training.check(1, 1).unwrap_err().to_string();
            assert!(message.starts_with(&format!("training.schedule.{field}: ")), "{message}");
        }
        let muon = MuonConfig { weight_decay: 1e30, ..MuonConfig::default() };
        let message =
            Training { muon: Some(muon), ..Training::default() }.check(1, 1).unwrap_err().to_string();
        assert!(message.starts_with("training.muon.weight_decay: 1e30"), "{message}");
        let two = Training { micro_batches: usize::MAX, ..Training::default() };
        two.fits(usize::MAX, 8).unwrap();
        let message = Training::default().fits(1 << 40, 1 << 20).unwrap_err().to_string();
        assert!(message.starts_with("batch: training on 1099511627776 images at once"), "{message}");
        let backbone = BackboneSettings {
            data: good.data,
            tokenizer: "x".into(),
            seed: 0,
            steps: 1,
            batch: 1,
            flips: true,
            shift: 0,
            start: None,
            label_dropout: 1.5,
            dtype: Dtype::F32,
            training: Training::default(),
        };
        let message = backbone.check().unwrap_err().to_string();
        assert!(message.starts_with("label_dropout"), "{message}");
    }
}
