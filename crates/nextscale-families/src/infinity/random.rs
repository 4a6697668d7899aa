//! Models of the published sizes with random weights, and without a text encoder.

use std::fmt;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use nextscale_backbones::TextConditioner;
use nextscale_backbones::infinity::{InfinityConfig, Initialisation};
use nextscale_config::Node;
use nextscale_core::{Condition, Pass, ScaleSchedule};
use nextscale_generate::Model;
use nextscale_tokenizers::bitwise::BsqVaeConfig;

use super::aspect;
use crate::prompts::random_rows;
use crate::{Error, LoadOptions, ModelFacts, OpenModel, Result, Takes};

/// The prefix of this family's sizes.
const NAME: &str = "infinity-";

/// The sizes of a model with random weights: those published under a name, except for what follows it. They
/// are read as they are printed: `infinity-125m`, `infinity-2b, 0.25M, 4:3`, `infinity-125m, scales 1 2 4`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sizes {
    /// The published transformer's name.
    name: String,
    /// Another image size.
    size: Option<String>,
    /// Another aspect ratio.
    aspect: Option<String>,
    /// Other grids.
    scales: Option<ScaleSchedule>,
}

impl Sizes {
    /// `None` unless they begin with this family's name.
    pub fn read(text: &str) -> Option<Result<Self>> {
        let mut parts = text.split(',').map(str::trim);
        let name = parts.next()?.strip_prefix(NAME)?.to_lowercase();
        let mut sizes = Self { name, size: None, aspect: None, scales: None };
        let read = parts.try_for_each(|part| {
            if let Some(scales) = part.strip_prefix("scales ") {
                sizes.scales = Some(scales.parse()?);
            } else if part.contains(':') {
                sizes.aspect = Some(part.into());
            } else if part.ends_with('M') {
                sizes.size = Some(part.into());
            } else {
                let message = format!("`{part}` is not a size; write {NAME}125m, or {NAME}125m, 0.06M, 4:3");
                return Err(Error::Usage(message));
            }
            Ok(())
        });
        Some(read.map(|()| sizes))
    }

    /// The model of these sizes.
    ///
    /// # Errors
    /// If no model of this name was published, or there are no such scales.
    pub fn open(self) -> Result<RandomInfinity> {
        let published = InfinityConfig::published(&self.name)?;
        let schedule = match &self.scales {
            Some(scales) => scales.clone(),
            None => {
                let own = aspect::size_of(published.schedule.len()).unwrap_or_default();
                let size = self.size.as_deref().unwrap_or(own);
                aspect::schedule(self.aspect.as_deref().unwrap_or("1:1"), size)?
            }
        };
        let config = published.on_scales(&schedule)?;
        // The only published transformer that reads patches has 56 bits.
        let vae = BsqVaeConfig::published(if config.bits == 56 { 14 } else { config.bits })?;
        let patches = config.patchifies(vae.bits)?;
        let words = self.to_string();
        let facts = ModelFacts {
            schedule: config.schedule.clone(),
            alphabet: config.alphabet(),
            takes: Takes { prompts: true, ..Takes::default() },
            // The same sizes have the same weights.
            fingerprint: words.clone(),
            tokenizer: String::new(),
            resolved: Node::from_serialize(&words)?,
            words,
        };
        Ok(RandomInfinity { config, vae, patches, facts })
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "random {NAME}{}", self.name)?;
        for part in [&self.size, &self.aspect].into_iter().flatten() {
            write!(f, ", {part}")?;
        }
        match &self.scales {
            Some(scales) => write!(f, ", scales {scales}"),
            None => Ok(()),
        }
    }
}

/// A model whose weights are drawn when it is loaded.
pub(super) struct RandomInfinity {
    config: InfinityConfig,
    vae: BsqVaeConfig,
    patches: bool,
    facts: ModelFacts,
}

impl OpenModel for RandomInfinity {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn runs(&self, pass: &Pass) -> Result<()> {
        Ok(self.config.runs(pass)?)
    }

    fn load(&self, options: &LoadOptions<'_>) -> Result<Model> {
        let LoadOptions { device, dtype, conditions, .. } = *options;
        dtype.check(device)?;
        let tokenizer = self.vae.init(self.schedule().clone(), self.patches, 0, device)?.decoding_in(dtype);
        let backbone = self.config.init_to_generate(&Initialisation::default(), device, dtype)?;
        let rows = rows(conditions, self.config.text_width, self.config.text_rows, device);
        let conditioner = TextConditioner::new(backbone.null_text(), rows)?;
        Ok(Model::new(Arc::new(tokenizer), Arc::new(backbone), Arc::new(conditioner))?)
    }
}

/// Rows of prompts in place of an encoder's: one per word and one for the end.
fn rows(conditions: &[Condition], width: usize, most: usize, device: &Device) -> Vec<(String, Tensor<2>)> {
    let count = |prompt: &str| (prompt.split_whitespace().count() + 1).min(most);
    random_rows(conditions, width, count, device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_printed() {
        for text in
            ["125m", "8b, 0.25M, 4:3", "2b, 3:4", "layer16, 1M", "125m, scales 1 2 3×4", "125m, 0.06M"]
        {
            let sizes = Sizes::read(&format!("{NAME}{text}")).unwrap().unwrap();
            assert_eq!(sizes.to_string(), format!("random {NAME}{text}"));
        }
        assert!(Sizes::read("16").is_none());
        assert!(Sizes::read("infinity-125m, 3 heads").unwrap().is_err());
        assert!(Sizes::read("infinity-3b").unwrap().unwrap().open().is_err());
        assert!(Sizes::read("infinity-2b, 16:9").unwrap().unwrap().open().is_err());
    }

    #[test]
    fn published_models_get_published_tokenizers() {
        let open = |text: &str| Sizes::read(text).unwrap().unwrap().open().unwrap();
        let small = open("infinity-125M");
        assert_eq!((small.alphabet().slots, small.patches, small.schedule().positions()), (16, false, 521));
        let large = open("infinity-8b, 0.06M, 2:1");
        assert_eq!((large.alphabet().slots, large.vae.bits, large.patches), (56, 14, true));
        assert_eq!(large.schedule().last(), nextscale_core::Grid::new(11, 22));
    }

    #[test]
    fn a_prompt_has_as_many_rows_as_words_and_always_the_same() {
        let prompt = |text: &str| Condition::Prompt(text.into());
        let conditions = [prompt("a red truck").avoiding(prompt("blur")), prompt("a red truck")];
        let rows = rows(&conditions, 8, 3, &Device::flex());
        let shapes: Vec<_> = rows.iter().map(|(prompt, rows)| (prompt.as_str(), rows.dims())).collect();
        assert_eq!(shapes, [("a red truck", [3, 8]), ("blur", [2, 8])]);
    }
}
