//! Models of the published sizes without the published weights.

use std::{fmt, sync::Arc};

use burn::tensor::Device;
use nextscale_backbones::var::{Initialisation, VarConfig};
use nextscale_core::{Dtype, ScaleSchedule};
use nextscale_tokenizers::vq::VqvaeConfig;

use crate::{Model, Result};

/// The sizes of a model with random weights: the published ones of a depth, but for what is given here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RandomModel {
    /// The published transformer of this many blocks: 16, 20, 24, 30 or 36.
    pub depth: usize,
    /// Other grids. The image has 16 times the last one's side in pixels.
    pub scales: Option<ScaleSchedule>,
    /// Another number of codes.
    pub vocabulary: Option<usize>,
}

impl RandomModel {
    /// The transformer, the tokenizer, and the number of classes.
    ///
    /// # Errors
    /// If no model of this depth was published, the sizes make no model, or the device cannot compute in this type.
    pub(super) fn load(&self, device: &Device, dtype: Dtype) -> Result<(Model, usize)> {
        let published = VarConfig::published(self.depth)?;
        let schedule = self.scales.clone().unwrap_or_else(|| published.schedule.clone());
        let vocabulary = self.vocabulary.unwrap_or(published.vocabulary);
        let config = VarConfig { schedule: schedule.clone(), vocabulary, ..published };
        let tokenizer = VqvaeConfig { vocabulary, ..VqvaeConfig::published() }
            .init(schedule, 0, device)?
            .decoding_in(dtype);
        let backbone = config.init_to_generate(&Initialisation::default(), device, dtype)?;
        let conditioner = Arc::new(backbone.conditioner());
        Ok((Model::new(Arc::new(tokenizer), Arc::new(backbone), conditioner)?, config.classes))
    }
}

impl fmt::Display for RandomModel {
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
