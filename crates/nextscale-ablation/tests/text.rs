//! The ablation of priors on a model of bits and prompts, with small random weights in place of the shipped
//! ones.

use std::path::Path;

use burn::tensor::Device;
use nextscale_ablation::judge::Judges;
use nextscale_ablation::{Ablation, Options, Store, run};
use nextscale_backbones::infinity::{InfinityConfig, Initialisation};
use nextscale_config::{Document, Node};
use nextscale_core::ScaleSchedule;
use nextscale_pipeline::{Registry, Stop};
use nextscale_text::{PromptTokenizer, T5Config, word_level};
use nextscale_tokenizers::bitwise::BsqVaeConfig;
use nextscale_weights::Precision;

/// Writes the files of a model of 32 × 32 images, and returns a config's `model` for it.
fn model(folder: &Path) -> Node {
    let device = Device::flex();
    let schedule = ScaleSchedule::square(&[1, 2, 4]).unwrap();
    let vae = BsqVaeConfig {
        encoder_blocks: vec![0, 0, 0, 1],
        decoder_blocks: vec![0, 0, 0, 1],
        norm_groups: Some(2),
        ..BsqVaeConfig::new(4, &[1, 1, 1, 2], 6)
    };
    let vae = vae.init(schedule.clone(), false, 1, &device).unwrap();
    vae.save(folder.join("tokenizer.safetensors"), Precision::F32).unwrap();
    // All words but "airplane" and "automobile".
    let words = [
        "a bird cat deer dog frog horse ship truck plane car red orange yellow green blue pink brown white grey black",
        "an dark , cold bright warm photo picture image of in",
    ];
    let vocabulary = word_level(words).unwrap();
    std::fs::write(folder.join("tokenizer.json"), &vocabulary).unwrap();
    let rows = PromptTokenizer::from_bytes(vocabulary.as_bytes(), "words").unwrap().len();
    let text = T5Config { head_width: 4, ..T5Config::new(rows, 8, 1, 2, 16) };
    text.init(2, &device).unwrap().save(folder.join("text.safetensors"), Precision::F32).unwrap();
    let backbone = InfinityConfig {
        text_width: 8,
        text_rows: 12,
        pool_heads: 2,
        hidden: 32,
        ..InfinityConfig::new([2, 16, 2], 6, schedule)
    };
    let backbone = backbone.init(&Initialisation { seed: 3, gate: 1.0 }, &device).unwrap();
    backbone.save(folder.join("backbone.safetensors"), Precision::F32, false).unwrap();
    let file = |name: &str| folder.join(name).display().to_string();
    let text = format!(
        "Infinity(tokenizer: {:?}, backbone: {:?}, text: (encoder: {:?}, tokenizer: {:?}))",
        file("tokenizer.safetensors"),
        file("backbone.safetensors"),
        file("text.safetensors"),
        file("tokenizer.json"),
    );
    Document::parse("model", &text).unwrap()
}

#[test]
fn the_ablation_of_priors_runs_on_bits_and_prompts() {
    let folder = tempfile::tempdir().unwrap();
    let configs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs"));
    let mut tree = Document::read(&configs.join("ablate-priors-text.ron")).unwrap();
    Ablation::quicken(&mut tree).unwrap();
    tree.set_node("base.model", model(folder.path())).unwrap();
    for change in ["samples=4", "traces=2", "seeds=[0, 1]", "base.batch=4", "measures=[Spectrum]"] {
        tree.assign(change).unwrap();
    }
    let judges = Judges::standard();
    let read = |tree: &Node| Ablation::from_node(tree, configs, &Registry::standard(), &judges).unwrap();
    let ablation = read(&tree);
    // Warnings about prompts appear once, however many cells there are.
    let remarks = ablation.remarks();
    assert!(remarks.iter().any(|remark| remark.contains("automobile")), "{remarks:?}");
    let distinct: std::collections::BTreeSet<_> = remarks.iter().collect();
    assert_eq!(distinct.len(), remarks.len());

    let store = Store::open(&folder.path().join("out")).unwrap();
    let go = |ablation: &Ablation| {
        let progress = &mut |_: &_| {};
        let options = Options { device: Device::flex(), stop: Stop::new(), command: None, progress };
        let built = ablation.judges(&judges, &Device::flex()).unwrap();
        run("text", ablation, &built, &store, options).unwrap()
    };
    let manifest = go(&ablation);
    assert_eq!(manifest.cells.len(), 9);
    let report = nextscale_ablation::report::build(&store, &judges, &Device::flex(), |_, _| {}).unwrap();
    let distances = |cell: usize| {
        report.completions[cell]
            .as_ref()
            .map(|kept| kept.iter().map(|kept| kept.distance).collect::<Vec<_>>())
    };
    assert_eq!(distances(1).unwrap().len(), 2);

    // The texts of a cell with its own negative prompt are encoded too.
    tree.assign(
        "variants=[(name: \"cfg\"), (name: \"away\", set: {\"condition\": \
                 Prompts(texts: [\"a red car\", \"a ship\"], negative: [\"a blue car\", \"a bird\"])})]",
    )
    .unwrap();
    assert_eq!(go(&read(&tree)).cells.len(), 2);
}
