//! Models of the published sizes without the published weights.

use std::fmt;
use std::sync::Arc;

use nextscale_backbones::var::{Initialisation, VarConfig};
use nextscale_config::Node;
use nextscale_core::{Alphabet, Dtype, Pass, ScaleSchedule};
use nextscale_generate::Model;
use nextscale_tokenizers::vq::VqvaeConfig;

use super::memory;
use crate::{Error, LoadOptions, ModelFacts, OpenModel, Result, Takes};

/// The sizes of a model with random weights: the published ones of a depth, unless stated otherwise. They are
/// parsed in the form in which they are printed: `16`, `16, scales 1 2 3, 512 codes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sizes {
    /// The published transformer of this many blocks: 16, 20, 24, 30 or 36.
    depth: usize,
    /// Other grids. The image's side in pixels is 16 times that of the last grid.
    scales: Option<ScaleSchedule>,
    /// Another number of codes.
    vocabulary: Option<usize>,
}

impl Sizes {
    /// `None` if they do not begin with a depth.
    pub fn read(text: &str) -> Option<Result<Self>> {
        let mut parts = text.split(',').map(str::trim);
        let depth = parts.next()?.parse().ok()?;
        let mut sizes = Self { depth, scales: None, vocabulary: None };
        let read = parts.try_for_each(|part| {
            if let Some(scales) = part.strip_prefix("scales ") {
                sizes.scales = Some(scales.parse()?);
            } else if let Some(Ok(codes)) = part.strip_suffix(" codes").map(str::parse) {
                sizes.vocabulary = Some(codes);
            } else {
                let message = format!("`{part}` is not a size; write 16, or 16, scales 1 2 3, 512 codes");
                return Err(Error::Usage(message));
            }
            Ok(())
        });
        Some(read.map(|()| sizes))
    }

    /// The model of these sizes.
    ///
    /// # Errors
    /// If no model of this depth was published.
    pub fn open(self) -> Result<RandomVar> {
        let published = VarConfig::published(self.depth)?;
        let schedule = self.scales.clone().unwrap_or_else(|| published.schedule.clone());
        let vocabulary = self.vocabulary.unwrap_or(published.vocabulary);
        let config = VarConfig { schedule, vocabulary, ..published };
        let words = self.to_string();
        let facts = ModelFacts {
            schedule: config.schedule.clone(),
            alphabet: Alphabet::codes(config.vocabulary),
            takes: Takes { classes: config.classes, ..Takes::default() },
            // The same sizes have the same weights.
            fingerprint: words.clone(),
            tokenizer: String::new(),
            resolved: Node::from_serialize(&words)?,
            words,
        };
        Ok(RandomVar { config, facts })
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "random VAR-d{}", self.depth)?;
        if let Some(scales) = &self.scales {
            write!(f, ", scales {scales}")?;
        }
        if let Some(vocabulary) = self.vocabulary {
            write!(f, ", {vocabulary} codes")?;
        }
        Ok(())
    }
}

/// A model that is created when it is loaded.
pub(super) struct RandomVar {
    config: VarConfig,
    facts: ModelFacts,
}

impl OpenModel for RandomVar {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn runs(&self, pass: &Pass) -> Result<()> {
        Ok(self.config.runs(pass)?)
    }

    fn memory(&self, batch: usize, dtype: Dtype) -> Option<String> {
        let tokenizer = VqvaeConfig { vocabulary: self.config.vocabulary, ..VqvaeConfig::published() };
        Some(memory::words(&self.config, &tokenizer, batch, dtype))
    }

    fn load(&self, options: &LoadOptions<'_>) -> Result<Model> {
        let LoadOptions { device, dtype, .. } = *options;
        dtype.check(device)?;
        let VarConfig { vocabulary, ref schedule, .. } = self.config;
        let tokenizer = VqvaeConfig { vocabulary, ..VqvaeConfig::published() }
            .init(schedule.clone(), 0, device)?
            .decoding_in(dtype);
        let backbone = self.config.init_to_generate(&Initialisation::default(), device, dtype)?;
        let conditioner = Arc::new(backbone.conditioner());
        Ok(Model::new(Arc::new(tokenizer), Arc::new(backbone), conditioner)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_printed() {
        for text in ["16", "36, scales 1 2 3×4", "20, 512 codes", "16, scales 1 2 3, 512 codes"] {
            let sizes = Sizes::read(text).unwrap().unwrap();
            assert_eq!(sizes.to_string(), format!("random VAR-d{text}"));
        }
        assert!(Sizes::read("toy").is_none());
        assert!(Sizes::read("16, 3 heads").unwrap().is_err());
        assert!(Sizes::read("17").unwrap().unwrap().open().is_err());
    }
}
