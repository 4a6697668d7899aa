use std::path::PathBuf;

use burn::{
    module::Param,
    tensor::{Device, Int, Tensor},
};
use nextscale_core::{Dtype, ScaleSchedule};
use nextscale_tokenizers::autoencoder::{Conv, Norm};
use nextscale_tokenizers::vq::MultiScaleVq;
use nextscale_weights::WeightFile;

pub use crate::support::{assert_close, floats, images, ints, tensor};

/// Groups of the fixture model's norms.
pub const GROUPS: usize = 4;

pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/var").join(name)
}

pub fn file(name: &str) -> WeightFile {
    WeightFile::open(path(name)).unwrap()
}

pub fn json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

pub fn schedule() -> ScaleSchedule {
    ScaleSchedule::square(&[1, 2, 3, 4]).unwrap()
}

pub fn tokenizer(name: &str, schedule: ScaleSchedule) -> MultiScaleVq {
    MultiScaleVq::load(&file(name), schedule, GROUPS, true, &Device::flex()).unwrap()
}

pub fn tokens(file: &WeightFile, prefix: &str, scales: usize) -> Vec<Tensor<2, Int>> {
    (0..scales).map(|k| file.int_tensor(&format!("{prefix}.s{k}"), &Device::flex()).unwrap()).collect()
}

/// The convolution `prefix` of a file.
pub fn conv(file: &WeightFile, prefix: &str) -> Conv {
    Conv {
        weight: Param::from_tensor(tensor(file, &format!("{prefix}weight"))),
        bias: Param::from_tensor(tensor(file, &format!("{prefix}bias"))),
        dtype: Dtype::F32,
    }
}

/// The norm `prefix` of a file.
pub fn norm(file: &WeightFile, prefix: &str, groups: usize) -> Norm {
    Norm {
        weight: Param::from_tensor(tensor(file, &format!("{prefix}weight"))),
        bias: Param::from_tensor(tensor(file, &format!("{prefix}bias"))),
        groups,
    }
}
