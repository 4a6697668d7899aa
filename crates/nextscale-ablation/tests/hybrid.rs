//! An ablation on a model of hybrid tokens and texts, with small random weights: rules, and the residual itself.

use std::fs;
use std::path::Path;

use burn::tensor::{Device, TensorData};
use nextscale_ablation::judge::Judges;
use nextscale_ablation::{Ablation, Options, Store, report, run};
use nextscale_backbones::hart::{HartConfig, Initialisation, Levels, Modulated, Pooling, ResidualConfig};
use nextscale_config::Document;
use nextscale_core::ScaleSchedule;
use nextscale_pipeline::{Registry, Stop};
use nextscale_tokenizers::hybrid::HybridVq;
use nextscale_tokenizers::vq::VqvaeConfig;
use nextscale_weights::{Precision, save_safetensors};

/// Writes `hart`, a model of 32 × 32 images that reads the fixtures' language model.
fn place(folder: &Path) {
    let schedule = ScaleSchedule::square(&[1, 2, 4]).unwrap();
    let (llm, tokenizer) = (folder.join("hart/llm"), folder.join("hart/tokenizer"));
    fs::create_dir_all(&llm).unwrap();
    fs::create_dir_all(&tokenizer).unwrap();
    let device = Device::flex();
    let sizes = HartConfig {
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
        ..HartConfig::published(Some(&schedule)).unwrap()
    };
    let model = sizes.init(&Initialisation { seed: 1, gate: 1.0 }, &device).unwrap();
    // Fresh logits are flat, so that no rule would change a draw.
    let tensors = model.tensors().map(|(name, data)| {
        let factor = if name == "head.weight" { 60.0 } else { 1.0 };
        let values: Vec<f32> = data.iter::<f32>().map(|value| value * factor).collect();
        (name, TensorData::new(values, data.shape().to_vec()))
    });
    save_safetensors(llm.join("model.safetensors"), tensors, Precision::F32, &model.metadata()).unwrap();
    let description = r#"{"model_type": "hart_transformer_t2i", "context_token": 12, "num_heads": 2, "depth": 2,
        "patch_nums": [1, 2, 4], "sep_aln_pooling_mode": "max", "num_sampling_steps": "3"}"#;
    fs::write(llm.join("config.json"), description).unwrap();
    let layout = VqvaeConfig { latent_channels: 4, vocabulary: 24, ..VqvaeConfig::new(32, &[1, 1, 1, 1]) };
    let vq = HybridVq::init(&layout, schedule, 7, &device).unwrap();
    vq.save(tokenizer.join("model.safetensors"), Precision::F32).unwrap();
    let description = r#"{"quantizer_type": "var_hybrid", "v_patch_nums": [1, 2, 4]}"#;
    fs::write(tokenizer.join("config.json"), description).unwrap();
}

#[test]
fn rules_and_the_residual_are_ablated_on_hybrid_tokens() {
    let folder = tempfile::tempdir().unwrap();
    place(folder.path());
    let text = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/text/qwen2"));
    let base = format!(
        "(
            model: Hart(folder: \"hart\", text: (encoder: {text:?})),
            condition: Prompts([\"a red truck\", \"two blue ships on the sea\"]),
            guidance: Cfg(scale: 2.0),
            batch: 3,
        )"
    );
    let config = format!(
        "(
            base: {base},
            variants: [
                (name: \"cfg\"),
                (name: \"ssg\", set: {{\"guidance\": Ssg(base: Cfg(scale: 2.0), prior: Dse(), beta: 0.5)}}),
                (name: \"no residual\", set: {{\"model.residual\": false}}),
            ],
            baseline: \"cfg\",
            seeds: [0, 1],
            samples: 4,
            traces: 2,
            measures: [Spectrum],
            reference: Shipped(\"cifar10\"),
            completion: (images: \"cifar10-test\", condition: Prompts([\"a red truck\"])),
        )"
    );
    let mut tree = Document::parse("hart.ron", &config).unwrap();
    let configs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs"));
    let images = configs.join("cifar10-test").display().to_string();
    tree.assign(&format!("completion.images={images:?}")).unwrap();
    let judges = Judges::standard();
    let ablation = Ablation::from_node(&tree, folder.path(), &Registry::standard(), &judges).unwrap();
    let store = Store::open(&folder.path().join("out")).unwrap();
    let progress = &mut |_: &_| {};
    let options = Options { device: Device::flex(), stop: Stop::new(), command: None, progress };
    let built = ablation.judges(&judges, &Device::flex()).unwrap();
    let manifest = run("hart", &ablation, &built, &store, options).unwrap();
    assert_eq!(manifest.cells.len(), 3);
    let report = report::build(&store, &judges, &Device::flex(), |_, _| {}).unwrap();
    assert!(report.completions.iter().all(|kept| kept.as_ref().is_some_and(|kept| kept.len() == 2)));
    // The same draws without the residual, and other ones under SSG.
    let spectrum = |cell: usize| format!("{:?}", report.measures[0].values[cell]);
    assert!(spectrum(0) != spectrum(1) && spectrum(0) != spectrum(2));
}
