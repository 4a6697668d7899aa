use std::path::PathBuf;
use std::sync::Arc;

use nextscale_backbones::infinity::{Infinity, InfinityConfig};
use nextscale_config::Node;
use nextscale_core::{Condition, Pass};
use nextscale_generate::Model;
use nextscale_text::TextEncoder;
use nextscale_tokenizers::bitwise::{BsqVaeConfig, MultiScaleBsq};
use nextscale_weights::WeightFile;

use super::texts;
use crate::{Error, LoadOptions, ModelFacts, OpenModel, Result, Takes};

/// The files of a model, with their headers read.
pub(crate) struct Files {
    pub tokenizer: WeightFile,
    pub backbone: WeightFile,
    pub text: TextEncoder,
}

/// A model of which only the headers have been read.
pub(crate) struct OpenInfinity {
    files: Files,
    vae: BsqVaeConfig,
    config: InfinityConfig,
    patches: bool,
    /// The folder for encoded prompts.
    pub cache: Option<PathBuf>,
    pub facts: ModelFacts,
}

impl OpenInfinity {
    /// Checks every tensor's name and shape, and that the parts fit each other. The caller sets its name and
    /// the fingerprint of its weights.
    pub fn new(
        files: Files,
        config: InfinityConfig,
        norm_groups: Option<usize>,
        node: &Node,
    ) -> Result<Self> {
        let Files { tokenizer, backbone, text } = &files;
        config.expected().check(&rooted(backbone)?)?;
        let vae = BsqVaeConfig::infer(tokenizer, norm_groups)?;
        vae.check_file(tokenizer, false)?;
        let patches = fitting(&vae, &config, tokenizer.label(), backbone.label())?;
        if text.width() != config.text_width {
            return Err(Error::Usage(format!(
                "the text encoder gives rows of {} channels and {} was made for {}; take the encoder that it was trained \
                 with",
                text.width(),
                backbone.label(),
                config.text_width
            )));
        }
        let facts = ModelFacts {
            schedule: config.schedule.clone(),
            alphabet: config.alphabet(),
            takes: Takes { prompts: true, ..Takes::default() },
            fingerprint: String::new(),
            tokenizer: tokenizer.fingerprint()?,
            resolved: node.clone(),
            words: String::new(),
        };
        Ok(Self { cache: None, vae, config, patches, facts, files })
    }
}

/// The file at the dictionary with the transformer.
fn rooted(backbone: &WeightFile) -> Result<WeightFile> {
    Ok(InfinityConfig::rooted(backbone)?)
}

/// Whether a token of the transformer stands for 2 × 2 latents of the tokenizer.
///
/// # Errors
/// If their bits differ.
pub(super) fn fitting(
    vae: &BsqVaeConfig,
    config: &InfinityConfig,
    tokenizer: &str,
    backbone: &str,
) -> Result<bool> {
    let patches = config.patchifies(vae.bits).map_err(|_| {
        let quarter = match config.bits.is_multiple_of(4) {
            true => format!(", or one of {} bits whose latents it reads in patches of 2 × 2", config.bits / 4),
            false => String::new(),
        };
        Error::Usage(format!(
            "{tokenizer} has {} bits per latent and {backbone} was made for {} bits per token: it takes a tokenizer of {} \
             bits{quarter}",
            vae.bits, config.bits, config.bits
        ))
    })?;
    // The published tokenizers of patches have latents of 8 pixels; those of 16 pixels are for whole latents.
    if patches && vae.reduction() > 8 {
        return Err(Error::Usage(format!(
            "{tokenizer} has {} bits for each {} pixels; {backbone} with its {} bits per token reads patches of 2 × 2 latents of \
             8 pixels, or latents of {} bits: take the tokenizer that it was trained with",
            vae.bits,
            vae.reduction(),
            config.bits,
            config.bits
        )));
    }
    Ok(patches)
}

impl OpenModel for OpenInfinity {
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
        texts::remarks(&self.files.text, self.config.text_rows, conditions)
    }

    fn load(&self, options: &LoadOptions<'_>) -> Result<Model> {
        let LoadOptions { device, dtype, with_encoder, conditions } = *options;
        dtype.check(device)?;
        // First, and freed before the transformer is read: the two together would need twice the memory.
        let rows = texts::encode(&self.files.text, self.cache.as_deref(), conditions, device)?;
        let tokenizer = MultiScaleBsq::load(
            &self.files.tokenizer,
            self.vae.clone(),
            self.schedule().clone(),
            self.patches,
            with_encoder,
            device,
        )?
        .decoding_in(dtype);
        let backbone = Infinity::load_to_generate(&self.files.backbone, &self.config, device, dtype)?;
        let conditioner = texts::conditioner(&backbone, &rows, device)?;
        Ok(Model::new(Arc::new(tokenizer), Arc::new(backbone), Arc::new(conditioner))?)
    }
}
