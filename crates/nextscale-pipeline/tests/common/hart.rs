//! A small HART model with random weights, which reads the fixtures' language model.

use std::fs;

use burn::tensor::{Device, TensorData};
use nextscale_backbones::hart::{HartConfig, Initialisation, Levels, Modulated, Pooling, ResidualConfig};
use nextscale_core::ScaleSchedule;
use nextscale_tokenizers::hybrid::HybridVq;
use nextscale_tokenizers::vq::VqvaeConfig;
use nextscale_weights::{Precision, save_safetensors};

pub fn schedule() -> ScaleSchedule {
    ScaleSchedule::square(&[1, 2, 4]).unwrap()
}

/// Sizes that read the fixture's language model, of 48 channels.
pub fn sizes() -> HartConfig {
    HartConfig {
        depth: 2,
        width: 32,
        heads: 2,
        hidden: 40,
        vocabulary: 24,
        feature_channels: 4,
        context: 12,
        text_width: 48,
        levels: Levels::Table(4),
        modulated: Modulated::ByProjection(Pooling::Max),
        residual: Some(ResidualConfig { width: 16, depth: 1, steps: 3, cfg: 1.5 }),
        ..HartConfig::published(Some(&schedule())).unwrap()
    }
}

/// A folder `hart` with the files of a model, and averaged weights where `averaged`.
pub fn place(layout: &VqvaeConfig, averaged: bool) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let (llm, tokenizer) = (place.path().join("hart/llm"), place.path().join("hart/tokenizer"));
    fs::create_dir_all(&llm).unwrap();
    fs::create_dir_all(&tokenizer).unwrap();
    let device = Device::flex();
    let write = |seed: u64, name: &str| {
        let start = Initialisation { seed, gate: 1.0 };
        let model = sizes().init(&start, &device).unwrap();
        // Fresh logits are flat, so that no rule would change a draw.
        let tensors = model.tensors().map(|(name, data)| {
            let factor = if name == "head.weight" { 60.0 } else { 1.0 };
            let values: Vec<f32> = data.iter::<f32>().map(|value| value * factor).collect();
            (name, TensorData::new(values, data.shape().to_vec()))
        });
        save_safetensors(llm.join(name), tensors, Precision::F32, &model.metadata()).unwrap();
    };
    write(1, "model.safetensors");
    if averaged {
        write(2, "ema_model.bin");
    }
    let description = r#"{"model_type": "hart_transformer_t2i", "context_token": 12, "num_heads": 2, "depth": 2,
        "patch_nums": [1, 2, 4], "sep_aln_pooling_mode": "max", "num_sampling_steps": "3"}"#;
    fs::write(llm.join("config.json"), description).unwrap();
    let vq = HybridVq::init(layout, schedule(), 7, &device).unwrap();
    vq.save(tokenizer.join("model.safetensors"), Precision::F32).unwrap();
    fs::write(
        tokenizer.join("config.json"),
        r#"{"quantizer_type": "var_hybrid", "v_patch_nums": [1, 2, 4]}"#,
    )
    .unwrap();
    place
}
