//! Checkpoints under upstream's keys: every tensor of a model equals the file's, bit for bit.

use std::sync::Arc;

use burn::tensor::{Device, TensorData};
use nextscale_backbones::var::{Var, VarConfig};
use nextscale_core::Dtype;
use nextscale_pipeline::{Model, Result};
use nextscale_tokenizers::vq::MultiScaleVq;

use crate::{Fixture, Fixtures, GROUPS, Gap, Kind, Line, Setting, schedule};

/// The fixture tokenizer.
///
/// # Errors
/// If a tensor is missing, unexpected or misshapen.
pub fn tokenizer(fixtures: &Fixtures, device: &Device) -> Result<MultiScaleVq> {
    let file = fixtures.open("vae.safetensors")?;
    Ok(MultiScaleVq::load(file.file(), schedule()?, GROUPS, true, device)?)
}

/// A fixture transformer.
///
/// # Errors
/// As [`tokenizer`].
pub fn backbone(fixtures: &Fixtures, kind: Kind, device: &Device) -> Result<Var> {
    backbone_in(Dtype::F32, fixtures, kind, device)
}

/// The same computing in a type.
///
/// # Errors
/// As [`tokenizer`], or if the device does not support the type.
pub fn backbone_in(dtype: Dtype, fixtures: &Fixtures, kind: Kind, device: &Device) -> Result<Var> {
    let file = fixtures.open(&format!("var_{}.safetensors", kind.short()))?;
    let config = VarConfig::infer(file.file(), None)?;
    Ok(Var::load_to_generate(file.file(), &config, device, dtype)?)
}

/// A fixture transformer with the fixture tokenizer.
///
/// # Errors
/// As [`tokenizer`].
pub fn model(fixtures: &Fixtures, kind: Kind, device: &Device) -> Result<Model> {
    model_in(Dtype::F32, fixtures, kind, device)
}

/// The same computing in a type.
///
/// # Errors
/// As [`backbone_in`].
pub fn model_in(dtype: Dtype, fixtures: &Fixtures, kind: Kind, device: &Device) -> Result<Model> {
    let backbone = backbone_in(dtype, fixtures, kind, device)?;
    let conditioner = Arc::new(backbone.conditioner());
    let tokenizer = tokenizer(fixtures, device)?.decoding_in(dtype);
    Ok(Model::new(Arc::new(tokenizer), Arc::new(backbone), conditioner)?)
}

/// Compares what a model holds with the file.
pub(crate) fn held(
    gap: &mut Gap,
    file: &Fixture,
    tensors: impl IntoIterator<Item = (String, TensorData)>,
) -> Result<()> {
    for (key, data) in tensors {
        // A counter from training, which no model here keeps.
        if key.ends_with("ema_vocab_hit_SV") {
            continue;
        }
        let values: Vec<f32> = data.iter::<f32>().collect();
        #[cfg(test)]
        let values = crate::host::broken::floats(values);
        gap.add_floats(&values, &file.floats(&key)?, &key)?;
    }
    Ok(())
}

/// Nothing may differ: weights are copied, not computed.
pub fn lines(setting: &Setting<'_>) -> Result<Vec<Line>> {
    let Setting { fixtures, device, .. } = setting;
    let mut gap = Gap::default();
    held(&mut gap, &fixtures.open("vae.safetensors")?, tokenizer(fixtures, device)?.tensors())?;
    for kind in Kind::ALL {
        let file = fixtures.open(&format!("var_{}.safetensors", kind.short()))?;
        held(&mut gap, &file, backbone(fixtures, kind, device)?.tensors())?;
    }
    Ok(vec![setting.line("loading by upstream's keys", gap)])
}
