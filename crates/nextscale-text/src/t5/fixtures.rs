//! The reference numbers for tests: upstream's encoder on a tiny model (tests/fixtures/infinity/README.md).

use std::path::PathBuf;

use burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale_weights::WeightFile;

/// The folder of the fixtures.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/infinity/t5")
}

/// The tiny model's weights.
pub fn weights() -> WeightFile {
    WeightFile::open(folder().join("t5_encoder.safetensors")).unwrap()
}

/// Upstream's results.
pub fn reference() -> Reference {
    Reference(WeightFile::open(folder().join("reference.safetensors")).unwrap())
}

/// Recorded tensors.
pub struct Reference(WeightFile);

impl Reference {
    pub fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        self.0.tensor(name, &Device::flex()).unwrap()
    }

    pub fn int_tensor<const D: usize>(&self, name: &str) -> Tensor<D, Int> {
        self.0.int_tensor(name, &Device::flex()).unwrap()
    }

    pub fn ints(&self, name: &str) -> Vec<i64> {
        let info = self.0.info(name).unwrap();
        assert_eq!(info.shape.len(), 1);
        self.int_tensor::<1>(name).into_data().iter::<i64>().collect()
    }
}

/// One row of token ids.
pub fn row(tokens: &[i64]) -> Tensor<2, Int> {
    Tensor::from_data(TensorData::new(tokens.to_vec(), [1, tokens.len()]), &Device::flex())
}
