//! An ablation on a model of hybrid tokens and texts, with small random weights: rules, and the residual itself.

#[path = "../../nextscale-pipeline/tests/common/hart.rs"]
mod hart;

use std::path::Path;

use burn::tensor::Device;
use nextscale_ablation::judge::Judges;
use nextscale_ablation::{Ablation, Options, Store, report, run};
use nextscale_config::Document;
use nextscale_pipeline::{Registry, Stop};
use nextscale_tokenizers::vq::VqvaeConfig;

#[test]
fn rules_and_the_residual_are_ablated_on_hybrid_tokens() {
    // Images of 32 × 32 pixels, as the reference's are.
    let layout = VqvaeConfig { latent_channels: 4, vocabulary: 24, ..VqvaeConfig::new(32, &[1, 1, 1, 1]) };
    let folder = hart::place(&layout, false);
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
