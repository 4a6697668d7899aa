use std::path::{Path, PathBuf};

use nextscale_backbones::infinity::InfinityConfig;
use nextscale_core::Dtype;
use nextscale_text::T5Config;
use nextscale_tokenizers::{Tokenizer, bitwise::MultiScaleBsq};
use nextscale_train::config::BackboneSettings;
use nextscale_train::data::Source;
use nextscale_train::{Error, Result, Training};
use serde::{Deserialize, Serialize};

use super::correction::SelfCorrection;

/// The training of an Infinity transformer and its text encoder on generated captions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainInfinity {
    /// The images.
    pub data: Source,
    /// The bitwise tokenizer's weights, as its training wrote them.
    pub tokenizer: PathBuf,
    /// Determines the initial weights, the order of images, captions, dropped prompts and flipped
    /// bits.
    #[serde(default)]
    pub seed: u64,
    /// Optimiser steps.
    pub steps: u64,
    /// Images per step.
    pub batch: usize,
    /// Train on mirrored images too (augmentation).
    #[serde(default = "yes")]
    pub flips: bool,
    /// Train on images shifted by up to this many pixels in each direction, differently in each
    /// epoch (augmentation); edges are filled by reflection.
    #[serde(default)]
    pub shift: usize,
    /// The transformer.
    pub model: TransformerSizes,
    /// The text encoder.
    #[serde(default)]
    pub text: TextSizes,
    /// A transformer's weights to start from instead of fresh ones, as a training of the same sizes wrote
    /// them, with the text encoder and its vocabulary beside them.
    #[serde(default)]
    pub start: Option<PathBuf>,
    /// The share of prompts that are replaced by the null condition, for classifier-free guidance.
    #[serde(default = "tenth")]
    pub prompt_dropout: f64,
    /// The flipped bits that the transformer learns to correct.
    #[serde(default)]
    pub self_correction: SelfCorrection,
    /// The type of the inputs of the transformer's linear layers and attention: `f32`, or `bf16`
    /// for mixed precision, which is faster on CPUs that support it. Weights, sums, the softmax,
    /// the text encoder and everything else stay f32.
    #[serde(default)]
    pub dtype: Dtype,
    /// Optimiser, schedule, log.
    #[serde(default)]
    pub training: Training,
}

/// The sizes of an Infinity transformer; the rest follows from the tokenizer and the text encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerSizes {
    /// Blocks.
    pub depth: usize,
    /// Channels of the hidden states.
    pub width: usize,
    /// Attention heads; they divide the width, and their channels are a multiple of 4.
    pub heads: usize,
    /// Channels inside the MLP; 4 times the width by default.
    #[serde(default)]
    pub hidden: Option<usize>,
    /// The initial scale of the modulation's gate rows, relative to the other weights' standard
    /// deviation.
    #[serde(default = "gate")]
    pub gate: f64,
}

/// The sizes of a T5 encoder; the captions determine its vocabulary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TextSizes {
    /// Blocks.
    pub depth: usize,
    /// Channels of the rows.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Channels per head.
    pub head_width: usize,
    /// Hidden channels of the feed-forward.
    pub hidden: usize,
    /// Rows of the null condition: the largest number of tokens in a prompt, including the end
    /// token.
    pub rows: usize,
}

impl Default for TextSizes {
    fn default() -> Self {
        Self { depth: 3, width: 128, heads: 4, head_width: 32, hidden: 256, rows: 24 }
    }
}

impl TextSizes {
    /// The encoder of these sizes for a vocabulary.
    pub(super) fn encoder(&self, vocabulary: usize) -> Result<T5Config> {
        let Self { depth, width, heads, head_width, hidden, .. } = *self;
        let config = T5Config { head_width, ..T5Config::new(vocabulary, width, depth, heads, hidden) };
        config.check().map_err(|error| Error::setting("text", error.to_string()))?;
        Ok(config)
    }
}

impl TrainInfinity {
    /// The settings shared by every backbone's training.
    pub fn settings(&self) -> BackboneSettings {
        BackboneSettings {
            data: self.data.clone(),
            tokenizer: self.tokenizer.clone(),
            seed: self.seed,
            steps: self.steps,
            batch: self.batch,
            flips: self.flips,
            shift: self.shift,
            start: self.start.clone(),
            label_dropout: self.prompt_dropout,
            dtype: self.dtype,
            training: self.training.clone(),
        }
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

    /// Checks settings that nothing else checks.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the field.
    pub fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.prompt_dropout) {
            let message = format!("{} is not a share; give a number from 0 to 1", self.prompt_dropout);
            return Err(Error::setting("prompt_dropout", message));
        }
        if self.text.rows == 0 {
            return Err(Error::setting("text.rows", "0 leaves no room for a text's end; give at least 1"));
        }
        self.self_correction.check()?;
        self.settings().check()
    }

    /// The transformer of these sizes on a tokenizer's bits.
    pub(super) fn transformer(&self, tokenizer: &MultiScaleBsq) -> Result<InfinityConfig> {
        let TransformerSizes { depth, width, heads, hidden, .. } = self.model;
        let schedule = tokenizer.schedule().clone();
        if schedule.len() < 2 {
            let message = format!(
                "{} has only one scale, and a transformer predicts those after the first; give one with several",
                self.tokenizer.display()
            );
            return Err(Error::setting("tokenizer", message));
        }
        let config = InfinityConfig {
            hidden: hidden.unwrap_or(4 * width),
            // As many as are trained.
            levels: schedule.len(),
            text_width: self.text.width,
            text_rows: self.text.rows,
            pool_heads: heads,
            ..InfinityConfig::new([depth.max(1), width, heads], tokenizer.token_bits(), schedule)
        };
        let config = InfinityConfig { depth, ..config };
        config.check()?;
        Ok(config)
    }
}

fn yes() -> bool {
    true
}

fn tenth() -> f64 {
    0.1
}

fn gate() -> f64 {
    1e-2
}
