//! Models of the published sizes without the published weights.

use std::sync::Arc;

use burn::tensor::Device;
use nextscale_backbones::var::{Initialisation, VarConfig};
use nextscale_core::Dtype;
use nextscale_tokenizers::vq::VqvaeConfig;

use crate::{Model, Result};

/// The model of the published transformer of `depth` and the published tokenizer, and its number of classes.
///
/// # Errors
/// If no model of this depth was published, or the device cannot compute in this type.
pub(super) fn model(depth: usize, device: &Device, dtype: Dtype) -> Result<(Model, usize)> {
    let config = VarConfig::published(depth)?;
    let tokenizer = VqvaeConfig::published().init(config.schedule.clone(), 0, device)?;
    let backbone = config.init_to_generate(&Initialisation::default(), device, dtype)?;
    Ok((Model::new(Arc::new(tokenizer), Arc::new(backbone))?, config.classes))
}
