//! The reference numbers for tests: upstream's code on tiny models (tests/fixtures/hart/README.md).

use std::path::PathBuf;

use burn::tensor::{Bool, Device, Int, Tensor};
use nextscale_core::{BatchConditions, ConditionRows, PassCondition, ScaleSchedule};
use nextscale_weights::WeightFile;

use super::{Described, Hart, HartConfig};
pub use crate::var::fixtures::{Reference, assert_close};

/// The three variants of blocks.
pub const GROUPS: [&str; 3] = ["main", "shared_aln", "ada_lin"];

/// The strength t of guidance in the recorded head: that of the last scale but one of 3·k/5.
const CFG: f64 = 3.0 * 4.0 / 5.0;

/// The path of a fixture.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/hart").join(name)
}

/// A fixture of tensors.
pub fn opened(name: &str) -> WeightFile {
    WeightFile::open(path(name)).unwrap()
}

/// Recorded tensors.
pub fn reference(name: &str) -> Reference {
    Reference::new(opened(name))
}

/// A variant's `config.json`.
pub fn described(group: &str) -> Described {
    let text = std::fs::read(path(&format!("{group}/llm/config.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The architecture of a variant.
pub fn config(group: &str) -> HartConfig {
    let file = opened(&format!("{group}/llm/model.safetensors"));
    let mut config = HartConfig::infer(&file, Some(&described(group)), None).unwrap();
    config.residual.as_mut().unwrap().cfg = CFG;
    config
}

/// A variant's model.
pub fn model(group: &str, device: &Device) -> Hart {
    Hart::load(&opened(&format!("{group}/llm/model.safetensors")), &config(group), device).unwrap()
}

/// The scales of all reference runs.
pub fn schedule() -> ScaleSchedule {
    ScaleSchedule::square(&[1, 2, 3, 4, 6, 8]).unwrap()
}

/// A list of numbers.
pub fn list(reference: &Reference, name: &str) -> Vec<f64> {
    reference.tensor::<1>(name).into_data().iter::<f64>().collect()
}

/// The texts of a run, and zeros with one row for the unconditional pass.
pub fn conditions(reference: &Reference) -> BatchConditions {
    let values: Tensor<3> = reference.tensor("text");
    let mask = reference.ints::<2>("context_mask").equal_elem(1);
    let [batch, rows, _] = values.dims();
    let first: Vec<bool> = (0..batch * rows).map(|i| i % rows == 0).collect();
    let first = burn::tensor::TensorData::new(first, [batch, rows]);
    let first = Tensor::<2, Bool>::from_data(first, &values.device());
    let null = ConditionRows::Embeddings { values: values.zeros_like(), mask: first };
    let given = ConditionRows::Embeddings { values, mask };
    BatchConditions::new(batch, [(PassCondition::Given, given), (PassCondition::Negative, null)]).unwrap()
}

/// The recorded input of scale `k`, `[batch, h·w, channels]`; `None` at scale 0.
pub fn input(reference: &Reference, k: usize) -> Option<Tensor<3>> {
    if k == 0 {
        return None;
    }
    let map: Tensor<4> = reference.tensor(&format!("next_map.{k}"));
    let [batch, channels, height, width] = map.dims();
    Some(map.reshape([batch, channels, height * width]).swap_dims(1, 2))
}

/// The codes of the last scale's tokens, `[batch, channels, h, w]`.
pub fn codes(tokens: Tensor<2, Int>) -> Tensor<4> {
    let table: Tensor<2> = opened("tokenizer/model.safetensors")
        .tensor("vae.quantize.embedding.weight", &Device::flex())
        .unwrap();
    let [batch, positions] = tokens.dims();
    let codes = table.select(0, tokens.reshape([batch * positions])).reshape([batch, positions, 8]);
    codes.swap_dims(1, 2).reshape([batch, 8, 8, 8])
}

/// The recorded noise as the sampler takes it: `[batch, positions, 8·channels]`.
pub fn noise(reference: &Reference) -> Tensor<3> {
    let steps = (0..7).map(|i| format!("diff.noise_step.{i}"));
    let names = std::iter::once("diff.noise_init".to_owned()).chain(steps);
    let parts = names.map(|name| reference.tensor::<2>(&name)).collect();
    Tensor::cat(parts, 1).reshape([2, 64, 64])
}
