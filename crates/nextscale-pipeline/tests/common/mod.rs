//! The tiny reference models, and observing the loop with them.
#![allow(dead_code)] // every test file uses a part

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale_backbones::var::Var;
use nextscale_config::Document;
use nextscale_core::ScaleSchedule;
use nextscale_generate::observe::{Observer, Seen};
use nextscale_pipeline::{Config, Model, Prepared, Registry, Result, RunOptions, Summary, run};
use nextscale_tokenizers::vq::MultiScaleVq;
use safetensors::SafeTensors;

pub fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/var")).join(name)
}

pub fn schedule() -> ScaleSchedule {
    ScaleSchedule::square(&[1, 2, 3, 4]).unwrap()
}

/// `kind` is `aln` or `saln`.
pub fn model(kind: &str) -> Model {
    let device = Device::flex();
    let tokenizer = MultiScaleVq::open(path("vae.safetensors"), schedule(), 4, true, &device).unwrap();
    let backbone = Var::open(path(&format!("var_{kind}.safetensors")), None, &device).unwrap();
    let conditioner = Arc::new(backbone.conditioner());
    Model::new(Arc::new(tokenizer), Arc::new(backbone), conditioner).unwrap()
}

/// A fixture file in memory.
pub struct Reference(Vec<u8>);

impl Reference {
    pub fn open(name: &str) -> Self {
        Self(std::fs::read(path(name)).unwrap())
    }

    pub fn floats(&self, name: &str) -> Vec<f32> {
        bytemuck::pod_collect_to_vec(SafeTensors::deserialize(&self.0).unwrap().tensor(name).unwrap().data())
    }

    pub fn integers(&self, name: &str) -> Vec<i64> {
        bytemuck::pod_collect_to_vec(SafeTensors::deserialize(&self.0).unwrap().tensor(name).unwrap().data())
    }
}

/// Given tokens `[2, h·w, 1]` of the reference image, scale by scale.
pub fn given_tokens() -> Vec<Tensor<3, Int>> {
    let reference = Reference::open("reference_vae.safetensors");
    let scale = |k: usize| {
        let tokens = reference.integers(&format!("idx.s{k}"));
        Tensor::from_data(TensorData::new(tokens, [2, (k + 1) * (k + 1), 1]), &Device::flex())
    };
    (0..4).map(scale).collect()
}

pub fn floats<const D: usize>(tensor: &Tensor<D>) -> Vec<f32> {
    tensor.to_data().try_into_vec_as().unwrap()
}

pub fn integers<const D: usize>(tensor: &Tensor<D, Int>) -> Vec<i64> {
    tensor.to_data().try_into_vec_as().unwrap()
}

/// Everything that was seen, scale by scale.
#[derive(Default)]
pub struct Record {
    pub guided: Vec<Vec<f32>>,
    pub tokens: Vec<Vec<i64>>,
    pub canvas: Vec<Vec<f32>>,
}

impl Observer for Record {
    fn scale(&mut self, seen: &Seen<'_>) -> nextscale_generate::Result<()> {
        self.guided.push(floats(seen.guided.values()));
        self.tokens.push(integers(&seen.draw.tokens));
        self.canvas.push(floats(&seen.canvas.features));
        Ok(())
    }
}

pub fn assert_near(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= tolerance, "{what}: {worst} > {tolerance}");
}

/// A config of the reference model.
pub fn config(condition: &str, rest: &str) -> String {
    let (vae, var) = (path("vae.safetensors"), path("var_aln.safetensors"));
    format!(
        "(model: Var(tokenizer: {vae:?}, backbone: {var:?}, norm_groups: 4), condition: {condition}, seed: 3, {rest})"
    )
}

pub fn prepare(text: &str) -> Result<Prepared> {
    Config::from_node(&Document::parse("run.ron", text)?, Path::new(""), &Registry::standard())?.prepare()
}

/// Runs a config.
pub fn go(text: &str, options: &RunOptions) -> Result<Summary> {
    run(&prepare(text)?, options)
}
