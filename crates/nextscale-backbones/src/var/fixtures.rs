//! The reference numbers for tests: upstream's code on tiny models (tests/fixtures/var/README.md).

use std::path::PathBuf;

use burn::{
    module::Param,
    tensor::{Device, Int, Tensor},
};
use nextscale_core::{Condition, ConditionRows, PassCondition};
use nextscale_weights::WeightFile;

use super::model::Var;
use crate::transformer::{Weight, keys::Supply};
use crate::{ClassConditioner, Conditioner};

/// The path of a fixture.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/var").join(name)
}

/// A JSON fixture.
pub fn json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path(name)).unwrap()).unwrap()
}

/// The tiny model `aln` or `saln`.
pub fn model(name: &str, device: &Device) -> Var {
    Var::open(path(&format!("var_{name}.safetensors")), None, device).unwrap()
}

/// The reference of the tiny model `aln` or `saln`.
pub fn reference(name: &str) -> Reference {
    Reference(WeightFile::open(path(&format!("reference_{name}.safetensors"))).unwrap())
}

/// The reference of single modules.
pub fn modules() -> Reference {
    Reference(WeightFile::open(path("modules.safetensors")).unwrap())
}

/// Upstream's gradient norms of the tiny model `aln` or `saln`, by key.
pub fn gradient_norms(name: &str) -> serde_json::Map<String, serde_json::Value> {
    json("info.json")["grad_norms"][name].as_object().unwrap().clone()
}

/// The labels of the reference runs.
pub fn labels(reference: &Reference) -> Vec<Condition> {
    let labels = reference.ints::<1>("labels").into_data();
    labels.iter::<i64>().map(|label| Condition::Class(label as usize)).collect()
}

/// Conditions by class as rows of the tiny models' table.
pub fn rows(conditions: &[Condition]) -> ConditionRows {
    ClassConditioner { classes: 10 }.rows(conditions, PassCondition::Given).unwrap()
}

/// Recorded tensors.
pub struct Reference(WeightFile);

impl Reference {
    pub fn new(file: WeightFile) -> Self {
        Self(file)
    }

    pub fn tensor<const D: usize>(&self, name: &str) -> Tensor<D> {
        self.0.tensor(name, &Device::flex()).unwrap()
    }

    pub fn ints<const D: usize>(&self, name: &str) -> Tensor<D, Int> {
        self.0.int_tensor(name, &Device::flex()).unwrap()
    }

    pub fn values(&self, name: &str) -> Option<(Vec<f32>, Vec<usize>)> {
        self.0.values(name).ok()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.names()
    }
}

/// Supplies a single module's recorded weights.
pub struct Weights<'a> {
    reference: &'a Reference,
    prefix: String,
    device: Device,
}

impl<'a> Weights<'a> {
    pub fn new(reference: &'a Reference, prefix: String, device: Device) -> Self {
        Self { reference, prefix, device }
    }
}

impl Supply for Weights<'_> {
    type Error = nextscale_weights::Error;

    fn param<const D: usize>(
        &mut self,
        key: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>, Self::Error> {
        let tensor: Tensor<D> = self.reference.0.tensor(&format!("{}{key}", self.prefix), &self.device)?;
        assert_eq!(tensor.dims(), shape);
        Ok(Param::from_tensor(tensor))
    }

    fn matrix(&mut self, key: &str, inner: usize, out: usize) -> Result<Weight, Self::Error> {
        let tensor = self.reference.0.linear(&format!("{}{key}", self.prefix), &self.device)?;
        assert_eq!(tensor.dims(), [inner, out]);
        Ok(Weight::Plain(Param::from_tensor(tensor)))
    }
}

/// Fails if a value is further than `tolerance` from its reference, or the shapes differ.
pub fn assert_close<const D: usize>(found: &Tensor<D>, expected: &Tensor<D>, tolerance: f32, what: &str) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let (found, expected) = (found.to_data(), expected.to_data());
    let worst = found
        .iter::<f32>()
        .zip(expected.iter::<f32>())
        .map(|(found, expected)| (found - expected).abs())
        .fold(
            0.0,
            |worst: f32, difference| if difference.is_nan() { difference } else { worst.max(difference) },
        );
    assert!(worst <= tolerance, "{what}: off by {worst}");
}
