//! What a training run is told, as its config file says it.

use std::path::{Path, PathBuf};

use nextscale_backbones::var::{AdaLn, AttentionKind};
use nextscale_core::{Dtype, ScaleSchedule};
use nextscale_tokenizers::vq::VqvaeConfig;
use serde::{Deserialize, Serialize};

use crate::data::Source;
use crate::discriminator::check_channels;
use crate::run::Training;
use crate::schedule::Shape;
use crate::{Error, Result};

/// A tokenizer's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainTokenizer {
    /// The images.
    pub data: Source,
    /// Decides the first weights, the order of images, flips, and the codes that are drawn.
    #[serde(default)]
    pub seed: u64,
    /// Updates.
    pub steps: u64,
    /// Images a step.
    pub batch: usize,
    /// Mirror half of the images.
    #[serde(default = "yes")]
    pub flips: bool,
    /// The autoencoder and its codes.
    pub model: VqvaeConfig,
    /// What of it is trained.
    #[serde(default)]
    pub learn: Learn,
    /// The scales of tokens, coarse to fine.
    pub scales: ScaleSchedule,
    /// Weight of the error of pixel gradients beside the squared error.
    #[serde(default = "twentieth")]
    pub gradient_weight: f64,
    /// A distance between features of a classifier, beside that of pixels.
    #[serde(default)]
    pub perceptual: Option<PerceptualTerm>,
    /// A discriminator that learns to tell reconstructions from images, and what it says beside the other terms.
    #[serde(default)]
    pub adversarial: Option<AdversarialTerm>,
    /// Weights to begin from in place of fresh ones, with their codes: nothing is trained unquantised then.
    #[serde(default)]
    pub start: Option<PathBuf>,
    /// Weight of the quantiser's loss.
    #[serde(default = "half")]
    pub quantiser_weight: f64,
    /// First steps without quantising, after which all codes are drawn from the latents.
    #[serde(default = "unquantised")]
    pub unquantised_steps: u64,
    /// Steps between restarts of the codes that no position chose since the last. 0 is never.
    #[serde(default = "restart_every")]
    pub restart_every: u64,
    /// The share of the run after which codes are left alone.
    #[serde(default = "restart_until")]
    pub restart_until: f64,
    /// What 3×3 convolutions multiply: `f32`, or `bf16` for mixed precision (weights, sums, the quantiser and all else stay
    /// f32), which is faster on CPUs that have it.
    #[serde(default)]
    pub dtype: Dtype,
    /// Optimiser, schedule, log.
    #[serde(default)]
    pub training: Training,
}

/// What of a tokenizer is trained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Learn {
    /// All of it.
    #[default]
    All,
    /// The way from the canvas to the image alone. The encoder, the codes and φ stay those of `start` bit for bit, so that
    /// tokens stay valid, and a backbone that was trained on them.
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
    /// Weight of the discriminator's verdict on reconstructions.
    pub weight: f64,
    /// The first step that feels it. The discriminator learns from the start.
    pub from_step: u64,
    /// Channels of the discriminator at full size, a multiple of 8; it has twice as many at the halvings.
    pub channels: usize,
}

/// A classifier's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainClassifier {
    /// The images.
    pub data: Source,
    /// Decides the first weights, the order of images and flips.
    #[serde(default)]
    pub seed: u64,
    /// Updates.
    pub steps: u64,
    /// Images a step.
    pub batch: usize,
    /// Mirror half of the images.
    #[serde(default = "yes")]
    pub flips: bool,
    /// Channels at full size; every stage has twice as many as the one before. A multiple of 8.
    pub channels: usize,
    /// Stages, each at half the size of the one before.
    pub stages: usize,
    /// What convolutions multiply: `f32`, or `bf16` for mixed precision, as in a tokenizer's training.
    #[serde(default)]
    pub dtype: Dtype,
    /// Optimiser, schedule, log.
    #[serde(default)]
    pub training: Training,
}

impl TrainClassifier {
    /// Checks what no other part checks.
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

impl TrainTokenizer {
    /// Checks what no other part checks.
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
                return Err(Error::setting(field, format!("{weight} is no weight; give 0 or more")));
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

    /// The same config with relative paths taken from `base`, the folder of the config's file.
    #[must_use]
    pub fn relative_to(&self, base: &Path) -> Self {
        let perceptual = self
            .perceptual
            .as_ref()
            .map(|term| PerceptualTerm { classifier: base.join(&term.classifier), ..term.clone() });
        let start = self.start.as_ref().map(|start| base.join(start));
        Self { data: self.data.relative_to(base), perceptual, start, ..self.clone() }
    }
}

/// A backbone's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainBackbone {
    /// The images.
    pub data: Source,
    /// The tokenizer's weights, as its training wrote them.
    pub tokenizer: PathBuf,
    /// Decides the first weights, the order of images and the dropped labels.
    #[serde(default)]
    pub seed: u64,
    /// Updates.
    pub steps: u64,
    /// Images a step.
    pub batch: usize,
    /// Learn from mirrored images too.
    #[serde(default = "yes")]
    pub flips: bool,
    /// Learn from images that move by up to so many pixels each way, every time by others; what moves in is their reflection.
    /// Tokens are then made of them in every step, and not kept.
    #[serde(default)]
    pub shift: usize,
    /// The transformer.
    pub model: BackboneModel,
    /// Weights to begin from in place of fresh ones: a backbone of the same sizes, on the same tokens. Blocks that it
    /// lacks come after its own and begin as the identity.
    #[serde(default)]
    pub start: Option<PathBuf>,
    /// The share of labels that are replaced by the null class, for classifier-free guidance.
    #[serde(default = "tenth")]
    pub label_dropout: f64,
    /// What linear layers and attention multiply: `f32`, or `bf16` for mixed precision (weights, sums, the softmax and all else
    /// stay f32), which is faster on CPUs that have it.
    #[serde(default)]
    pub dtype: Dtype,
    /// Optimiser, schedule, log.
    #[serde(default)]
    pub training: Training,
}

/// The sizes of a VAR transformer; the rest follows from the tokenizer and the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackboneModel {
    /// Blocks.
    pub depth: usize,
    /// Channels of the hidden states.
    pub width: usize,
    /// Attention heads; they divide the width.
    pub heads: usize,
    /// Channels inside the MLP; 4 times the width where not given.
    #[serde(default)]
    pub hidden: Option<usize>,
    /// Where the blocks' modulation comes from.
    #[serde(default = "per_block")]
    pub ada_ln: AdaLn,
    /// How attention weighs.
    #[serde(default = "l2")]
    pub attention: AttentionKind,
    /// What the AdaLN rows that make gates begin with, as a share of the other weights' deviation.
    #[serde(default = "gate")]
    pub gate: f64,
}

impl TrainBackbone {
    /// Checks what no other part checks.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the field.
    pub fn check(&self) -> Result<()> {
        self.training.check(self.steps, self.batch)?;
        if !(0.0..=1.0).contains(&self.label_dropout) {
            return Err(Error::setting(
                "label_dropout",
                format!("{} is no share; give a number from 0 to 1", self.label_dropout),
            ));
        }
        Ok(())
    }

    /// The same config with relative paths taken from `base`, the folder of the config's file.
    #[must_use]
    pub fn relative_to(&self, base: &Path) -> Self {
        Self {
            data: self.data.relative_to(base),
            tokenizer: base.join(&self.tokenizer),
            start: self.start.as_ref().map(|start| base.join(start)),
            ..self.clone()
        }
    }
}

impl Training {
    /// Checks the settings for a run of `steps` updates of `batch` images each.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the field, and what it may be.
    pub fn check(&self, steps: u64, batch: usize) -> Result<()> {
        if steps == 0 {
            return Err(Error::setting("steps", "0 trains nothing; give at least 1"));
        }
        if batch == 0 {
            return Err(Error::setting("batch", "0 images a step; give at least 1"));
        }
        if self.micro_batches == 0 || self.micro_batches > batch {
            return Err(Error::setting(
                "micro_batches",
                format!(
                    "{} parts of {batch} images; give 1 to {batch}, for speed the number of threads",
                    self.micro_batches
                ),
            ));
        }
        if let Shape::Trapezoid { from, .. } = self.schedule.shape
            && !(0.0..1.0).contains(&from)
        {
            return Err(Error::setting(
                "schedule.shape.from",
                format!("{from} is no share of the run; give a number from 0 to below 1, like 0.8"),
            ));
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return Err(Error::setting(
                "learning_rate",
                format!("{} trains nothing; give a number above 0, like 1e-4", self.learning_rate),
            ));
        }
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
        }
        if !(0.0..1.0).contains(&self.ema) {
            return Err(Error::setting(
                "ema",
                format!("{} is no decay; give 0 (off) or a number below 1", self.ema),
            ));
        }
        Ok(())
    }
}

fn twentieth() -> f64 {
    0.05
}

fn half() -> f64 {
    0.5
}

fn unquantised() -> u64 {
    120
}

fn restart_every() -> u64 {
    25
}

fn restart_until() -> f64 {
    0.7
}

fn yes() -> bool {
    true
}

fn tenth() -> f64 {
    0.1
}

fn gate() -> f64 {
    1e-3
}

fn per_block() -> AdaLn {
    AdaLn::PerBlock
}

fn l2() -> AttentionKind {
    AttentionKind::L2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> String {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/train");
        std::fs::read_to_string(Path::new(folder).join(name)).unwrap()
    }

    #[test]
    fn the_configs_that_come_with_the_program_make_models() {
        let classifier: TrainClassifier = ron::from_str(&read("cifar10-classifier.ron")).unwrap();
        classifier.check().unwrap();
        let whole: TrainTokenizer = ron::from_str(&read("cifar10-tokenizer.ron")).unwrap();
        let decoder: TrainTokenizer = ron::from_str(&read("cifar10-decoder.ron")).unwrap();
        assert_eq!((decoder.check().is_ok(), decoder.learn), (true, Learn::Decoder));
        assert_eq!((&decoder.model, &decoder.scales), (&whole.model, &whole.scales));
        for data in ["cifar10", "fashion-mnist"] {
            let tokenizer: TrainTokenizer = ron::from_str(&read(&format!("{data}-tokenizer.ron"))).unwrap();
            tokenizer.check().unwrap();
            tokenizer.model.check(&tokenizer.scales).unwrap();
            assert_eq!(tokenizer.model.image_size(tokenizer.scales.last()), (32, 32));
            let backbone: TrainBackbone = ron::from_str(&read(&format!("{data}-backbone.ron"))).unwrap();
            backbone.check().unwrap();
            assert!(backbone.model.width.is_multiple_of(backbone.model.heads));
        }
        let first: TrainBackbone = ron::from_str(&read("cifar10-backbone.ron")).unwrap();
        let grown: TrainBackbone = ron::from_str(&read("cifar10-backbone-grown.ron")).unwrap();
        grown.check().unwrap();
        assert!(grown.start.is_some() && grown.model.depth > first.model.depth);
        let shifted: TrainBackbone = ron::from_str(&read("cifar10-backbone-shifted.ron")).unwrap();
        shifted.check().unwrap();
        assert!(shifted.start.is_some() && shifted.shift > 0);
        assert_eq!(shifted.model, grown.model);
        assert_eq!(BackboneModel { depth: first.model.depth, ..grown.model }, first.model);
        for later in [grown, shifted] {
            assert_eq!((&later.tokenizer, &later.data), (&first.tokenizer, &first.data));
        }
    }

    #[test]
    fn paths_are_taken_from_the_folder_of_the_config() {
        let config: TrainBackbone = ron::from_str(&read("cifar10-backbone.ron")).unwrap();
        let config =
            TrainBackbone { data: Source::Cifar10("x".into()), ..config }.relative_to(Path::new("/a"));
        assert_eq!(config.data, Source::Cifar10("/a/x".into()));
        assert!(config.tokenizer.starts_with("/a"));
    }

    #[test]
    fn settings_that_train_nothing_are_named() {
        let good: TrainTokenizer = ron::from_str(&read("cifar10-tokenizer.ron")).unwrap();
        let adversarial = |weight, channels| Some(AdversarialTerm { weight, from_step: 0, channels });
        let training = |learning_rate, ema| Training { learning_rate, ema, ..Training::default() };
        for (config, field) in [
            (TrainTokenizer { steps: 0, ..good.clone() }, "steps"),
            (TrainTokenizer { batch: 0, ..good.clone() }, "batch"),
            (TrainTokenizer { training: training(0.0, 0.0), ..good.clone() }, "learning_rate"),
            (TrainTokenizer { training: training(1e-3, 1.0), ..good.clone() }, "ema"),
            (TrainTokenizer { gradient_weight: -1.0, ..good.clone() }, "gradient_weight"),
            (TrainTokenizer { learn: Learn::Decoder, ..good.clone() }, "start"),
            (TrainTokenizer { adversarial: adversarial(f64::NAN, 8), ..good.clone() }, "adversarial.weight"),
            (TrainTokenizer { adversarial: adversarial(0.1, 12), ..good.clone() }, "adversarial.channels"),
        ] {
            let message = config.check().unwrap_err().to_string();
            assert!(message.starts_with(field), "{message}");
        }
        let good: TrainBackbone = ron::from_str(&read("cifar10-backbone.ron")).unwrap();
        let message = TrainBackbone { label_dropout: 1.5, ..good }.check().unwrap_err().to_string();
        assert!(message.starts_with("label_dropout"), "{message}");
    }
}
