use std::path::PathBuf;
use std::sync::Arc;

use nextscale_backbones::hart::{Hart, HartConfig};
use nextscale_config::Node;
use nextscale_core::{Alphabet, Condition, Pass};
use nextscale_generate::Model;
use nextscale_text::PaddedEncoder;
use nextscale_tokenizers::hybrid::HybridVq;
use nextscale_tokenizers::vq::VqvaeConfig;
use nextscale_weights::WeightFile;

use super::texts;
use crate::{Error, LoadOptions, ModelFacts, OpenModel, Result, Takes};

/// The files of a model, with their headers read.
pub(super) struct Files {
    pub tokenizer: WeightFile,
    pub backbone: WeightFile,
    pub text: PaddedEncoder,
}

/// A model of which only the headers have been read.
pub(super) struct OpenHart {
    files: Files,
    vae: VqvaeConfig,
    config: HartConfig,
    /// The folder for encoded prompts.
    pub cache: Option<PathBuf>,
    pub facts: ModelFacts,
}

impl OpenHart {
    /// Checks every tensor's name and shape, and that the parts fit each other. The caller sets its name and
    /// the fingerprint of its weights.
    pub fn new(files: Files, config: HartConfig, vae: VqvaeConfig, node: &Node) -> Result<Self> {
        let Files { tokenizer, backbone, text } = &files;
        config.expected().check(&HartConfig::rooted(backbone)?)?;
        HybridVq::check_file(tokenizer, &vae, &config.schedule, false)?;
        let sizes = [
            ("codes", vae.vocabulary, config.vocabulary),
            ("channels of features", vae.latent_channels, config.feature_channels),
        ];
        for (what, found, wanted) in sizes {
            if found != wanted {
                return Err(Error::Usage(format!(
                    "{} has {found} {what} and {} was made for {wanted}; take the tokenizer that it was trained with",
                    tokenizer.label(),
                    backbone.label()
                )));
            }
        }
        if text.width() != config.text_width {
            return Err(Error::Usage(format!(
                "the language model {} gives rows of {} channels and {} was made for {}; take the one that it was trained with",
                text.label(),
                text.width(),
                backbone.label(),
                config.text_width
            )));
        }
        let facts = ModelFacts {
            schedule: config.schedule.clone(),
            alphabet: Alphabet::codes(config.vocabulary),
            takes: Takes { prompts: true, ..Takes::default() },
            fingerprint: String::new(),
            tokenizer: tokenizer.fingerprint()?,
            resolved: node.clone(),
            words: String::new(),
        };
        Ok(Self { cache: None, vae, config, facts, files })
    }

    /// The transformer's sizes.
    pub fn config(&self) -> &HartConfig {
        &self.config
    }
}

impl OpenModel for OpenHart {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn runs(&self, pass: &Pass) -> Result<()> {
        Ok(self.config.runs(pass)?)
    }

    fn sizes(&self) -> String {
        super::sizes(&self.config)
    }

    fn remarks(&self, conditions: &[Condition]) -> Result<Vec<String>> {
        texts::remarks(&self.files.text, conditions)
    }

    fn load(&self, options: &LoadOptions<'_>) -> Result<Model> {
        let LoadOptions { device, dtype, with_encoder, conditions } = *options;
        dtype.check(device)?;
        // First, and freed before the transformer is read: the two together would need more memory.
        let rows = texts::encode(&self.files.text, self.cache.as_deref(), conditions, device)?;
        let tokenizer = HybridVq::load(
            &self.files.tokenizer,
            self.vae.clone(),
            self.schedule().clone(),
            with_encoder,
            device,
        )?
        .decoding_in(dtype);
        let backbone = Hart::load_to_generate(&self.files.backbone, &self.config, device, dtype)?;
        let conditioner = texts::conditioner(&rows, device)?;
        Ok(Model::new(Arc::new(tokenizer), Arc::new(backbone), Arc::new(conditioner))?)
    }
}
