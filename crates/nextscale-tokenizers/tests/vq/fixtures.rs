use std::path::PathBuf;

use burn::{
    module::Param,
    tensor::{Device, Int, Tensor},
};
use nextscale_core::{Dtype, ScaleSchedule};
use nextscale_tokenizers::vq::{Conv, MultiScaleVq, Norm};
use nextscale_weights::WeightFile;

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

pub fn tensor<const D: usize>(file: &WeightFile, name: &str) -> Tensor<D> {
    file.tensor(name, &Device::flex()).unwrap()
}

pub fn tokens(file: &WeightFile, prefix: &str, scales: usize) -> Vec<Tensor<2, Int>> {
    (0..scales).map(|k| file.int_tensor(&format!("{prefix}.s{k}"), &Device::flex()).unwrap()).collect()
}

pub fn ints<const D: usize>(tensor: Tensor<D, Int>) -> Vec<i64> {
    tensor.try_into_vec_as().unwrap()
}

pub fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().unwrap()
}

/// Panics unless `found` is within `tolerance` of the tensor `name`.
#[track_caller]
pub fn assert_close<const D: usize>(file: &WeightFile, name: &str, found: Tensor<D>, tolerance: f32) {
    let expected = tensor::<D>(file, name);
    assert_eq!(found.dims(), expected.dims(), "{name}");
    let (found, expected) = (floats(found), floats(expected));
    let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= tolerance, "{name}: off by {worst:e}, allowed {tolerance:e}");
    assert!(found.iter().all(|x| x.is_finite()), "{name}");
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

/// Smooth images in [0, 1] that differ from each other.
pub fn images(batch: usize, side: usize) -> Tensor<4> {
    let values: Vec<f32> = (0..batch * 3 * side * side)
        .map(|i| {
            let (image, within) = (i / (3 * side * side), i % (3 * side * side));
            let phase = 0.37 * image as f32 + 0.011 * within as f32 + 0.3 * ((within / side) % side) as f32;
            0.5 + 0.5 * phase.sin()
        })
        .collect();
    let data = burn::tensor::TensorData::new(values, [batch, 3, side, side]);
    Tensor::from_data(data, &Device::flex())
}
