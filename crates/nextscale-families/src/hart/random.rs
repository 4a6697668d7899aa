//! Models of the published size with random weights, and without a text encoder.

use std::fmt;
use std::sync::Arc;

use burn::tensor::Device;
use nextscale_backbones::hart::{HartConfig, Initialisation};
use nextscale_backbones::var::{SCALES_256, SCALES_512};
use nextscale_backbones::{PaddedText, PaddedTextConditioner};
use nextscale_config::Node;
use nextscale_core::{Alphabet, Condition, Pass, ScaleSchedule};
use nextscale_generate::Model;
use nextscale_tokenizers::hybrid::HybridVq;
use nextscale_tokenizers::vq::VqvaeConfig;

use crate::prompts::random_rows;
use crate::{Error, LoadOptions, ModelFacts, OpenModel, Result, Takes};

/// The prefix of this family's sizes.
const NAME: &str = "hart-";
/// The published size.
const PUBLISHED: &str = "0.7b";

/// The sizes of a model with random weights: those published, except for what follows. They are read as they
/// are printed: `hart-0.7b`, `hart-0.7b, 512 pixels, 20 steps`, `hart-0.7b, scales 1 2 4, no residual`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Another image size: 256, 512 or 1024 pixels, on the scales of VAR's models below 1024.
    pixels: Option<usize>,
    /// Other grids.
    scales: Option<ScaleSchedule>,
    /// Another number of steps of the head's sampler.
    steps: Option<usize>,
    /// Whether the model is without its head.
    bare: bool,
}

impl Sizes {
    /// `None` unless they begin with this family's name.
    pub fn read(text: &str) -> Option<Result<Self>> {
        let mut parts = text.split(',').map(str::trim);
        let name = parts.next()?.strip_prefix(NAME)?.to_lowercase();
        if name != PUBLISHED {
            let message = format!("{NAME}{name} was not published; write {NAME}{PUBLISHED}");
            return Some(Err(Error::Usage(message)));
        }
        let mut sizes = Self::default();
        let read = parts.try_for_each(|part| {
            let number = |unit: &str| part.strip_suffix(unit).map(str::trim).map(str::parse::<usize>);
            if let Some(scales) = part.strip_prefix("scales ") {
                sizes.scales = Some(scales.parse()?);
            } else if let Some(Ok(pixels @ (256 | 512 | 1024))) = number("pixels") {
                sizes.pixels = Some(pixels);
            } else if let Some(Ok(steps)) = number("steps") {
                sizes.steps = Some(steps);
            } else if part == "no residual" {
                sizes.bare = true;
            } else {
                let message = format!(
                    "`{part}` is not a size; write {NAME}{PUBLISHED}, or {NAME}{PUBLISHED}, 512 pixels, 8 steps (256, 512 or \
                     1024 pixels), or {NAME}{PUBLISHED}, scales 1 2 4, no residual"
                );
                return Err(Error::Usage(message));
            }
            Ok(())
        });
        Some(read.map(|()| sizes))
    }

    /// The model of these sizes.
    ///
    /// # Errors
    /// If there are no such scales or steps.
    pub fn open(self) -> Result<RandomHart> {
        let schedule = match (&self.scales, self.pixels) {
            (Some(scales), _) => Some(scales.clone()),
            (None, Some(256)) => Some(ScaleSchedule::square(&SCALES_256)?),
            (None, Some(512)) => Some(ScaleSchedule::square(&SCALES_512)?),
            (None, _) => None,
        };
        let mut config = HartConfig::published(schedule.as_ref())?;
        match &mut config.residual {
            head @ Some(_) if self.bare => *head = None,
            Some(head) => head.steps = self.steps.unwrap_or(head.steps),
            None => {}
        }
        config.check()?;
        let words = self.to_string();
        let facts = ModelFacts {
            schedule: config.schedule.clone(),
            alphabet: Alphabet::codes(config.vocabulary),
            takes: Takes { prompts: true, ..Takes::default() },
            // The same sizes have the same weights.
            fingerprint: words.clone(),
            tokenizer: String::new(),
            resolved: Node::from_serialize(&words)?,
            words,
        };
        Ok(RandomHart { config, facts })
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "random {NAME}{PUBLISHED}")?;
        if let Some(pixels) = self.pixels {
            write!(f, ", {pixels} pixels")?;
        }
        if let Some(scales) = &self.scales {
            write!(f, ", scales {scales}")?;
        }
        if let Some(steps) = self.steps {
            write!(f, ", {steps} steps")?;
        }
        if self.bare { f.write_str(", no residual") } else { Ok(()) }
    }
}

/// A model whose weights are drawn when it is loaded.
pub(super) struct RandomHart {
    config: HartConfig,
    facts: ModelFacts,
}

impl OpenModel for RandomHart {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn runs(&self, pass: &Pass) -> Result<()> {
        Ok(self.config.runs(pass)?)
    }

    fn load(&self, options: &LoadOptions<'_>) -> Result<Model> {
        let LoadOptions { device, dtype, conditions, .. } = *options;
        dtype.check(device)?;
        let tokenizer = HybridVq::init(&VqvaeConfig::published(), self.schedule().clone(), 0, device)?;
        let backbone = self.config.init_to_generate(&Initialisation::default(), device, dtype)?;
        let conditioner = conditioner(conditions, &self.config, device)?;
        Ok(Model::new(Arc::new(tokenizer.decoding_in(dtype)), Arc::new(backbone), Arc::new(conditioner))?)
    }
}

/// Rows of prompts in place of an encoder's, of which one per word and one for the end are the prompt's own.
fn conditioner(
    conditions: &[Condition],
    config: &HartConfig,
    device: &Device,
) -> Result<PaddedTextConditioner> {
    let rows = random_rows(conditions, config.text_width, |_| config.context, device);
    let padded = rows.into_iter().map(|(prompt, values)| {
        let own = prompt.split_whitespace().count() + 1;
        let mask = (0..config.context).map(|row| row < own).collect();
        (prompt, PaddedText { values, mask })
    });
    Ok(PaddedTextConditioner::new([config.context, config.text_width], padded, device)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_printed() {
        for text in
            ["0.7b", "0.7b, 512 pixels", "0.7b, 256 pixels, 20 steps", "0.7b, scales 1 2 3×4, no residual"]
        {
            let sizes = Sizes::read(&format!("{NAME}{text}")).unwrap().unwrap();
            assert_eq!(sizes.to_string(), format!("random {NAME}{text}"));
        }
        assert!(Sizes::read("16").is_none());
        for text in ["hart-0.7b, 300 pixels", "hart-2b", "hart-0.7b, 3 heads"] {
            assert!(Sizes::read(text).unwrap().is_err(), "{text}");
        }
        let error = Sizes::read("hart-0.7b, 0 steps").unwrap().unwrap().open().err().unwrap().to_string();
        assert!(error.starts_with("diffusion_steps: 0"), "{error}");
    }

    #[test]
    fn pixels_choose_the_scales() {
        let open = |text: &str| Sizes::read(text).unwrap().unwrap().open().unwrap();
        let side = |text: &str| 16 * open(text).schedule().last().height;
        assert_eq!(side("hart-0.7B"), 1024);
        assert_eq!(side("hart-0.7b, 512 pixels"), 512);
        assert_eq!(side("hart-0.7b, 256 pixels"), 256);
        assert_eq!(open("hart-0.7b, 256 pixels, 3 steps").config.residual.unwrap().steps, 3);
        assert_eq!(open("hart-0.7b, no residual").config.residual, None);
    }
}
