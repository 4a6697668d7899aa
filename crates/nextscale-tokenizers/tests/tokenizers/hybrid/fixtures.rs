use std::path::PathBuf;

use burn::tensor::{Device, Int, Tensor};
use nextscale_core::ScaleSchedule;
use nextscale_tokenizers::hybrid::HybridVq;
use nextscale_weights::WeightFile;

pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/hart").join(name)
}

pub fn file(name: &str) -> WeightFile {
    WeightFile::open(path(name)).unwrap()
}

pub fn schedule() -> ScaleSchedule {
    ScaleSchedule::square(&[1, 2, 3, 4, 6, 8]).unwrap()
}

pub fn tokenizer() -> HybridVq {
    let file = file("tokenizer/model.safetensors");
    let config = HybridVq::infer(&file, None).unwrap();
    HybridVq::load(&file, config, schedule(), true, &Device::flex()).unwrap()
}

/// The recorded tokens of every scale, `[batch, h·w]`.
pub fn tokens(file: &WeightFile) -> Vec<Tensor<2, Int>> {
    (0..6).map(|k| file.int_tensor(&format!("idx.{k}"), &Device::flex()).unwrap()).collect()
}
