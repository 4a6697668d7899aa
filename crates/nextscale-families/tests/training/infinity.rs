//! Infinity's transformer and its text encoder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use nextscale_backbones::infinity::Infinity;
use nextscale_config::{Document, Node};
use nextscale_core::noise::Counter;
use nextscale_core::{Alphabet, Condition, Dtype, ScaleSchedule};
use nextscale_families::infinity::training::backbone::{
    SelfCorrection, TextSizes, TrainInfinity, TransformerSizes, architecture, train_infinity,
};
use nextscale_families::infinity::{InfinityFiles, TextFiles};
use nextscale_families::{EmbeddedFile, Error, InfinityFamily, LoadOptions, ModelSource, OpenModel, Shipped};
use nextscale_generate::sampler::TopKTopP;
use nextscale_generate::{Batch, Generator, Stop};
use nextscale_guidance::{Cfg, Strength};
use nextscale_text::{PromptTokenizer, T5, TextEncoder};
use nextscale_tokenizers::bitwise::BsqVaeConfig;
use nextscale_train::captions::Thresholds;
use nextscale_train::{MuonConfig, Options, Training, checkpoint};
use nextscale_weights::{Precision, WeightFile};

use super::common::{assert_same, column, data, options, training};

fn scales() -> ScaleSchedule {
    ScaleSchedule::square(&[1, 2, 4]).unwrap()
}

/// Fresh weights suffice: any tokenizer gives bits of these images to learn.
fn tokenizer(root: &Path) -> PathBuf {
    let config = BsqVaeConfig {
        encoder_blocks: vec![0, 0, 0, 1],
        decoder_blocks: vec![0, 0, 0, 1],
        norm_groups: Some(2),
        ..BsqVaeConfig::new(4, &[1, 1, 1, 2], 6)
    };
    let path = root.join("tokenizer.safetensors");
    let model = config.init(scales(), false, 3, &Device::flex()).unwrap();
    model.save(&path, Precision::F32).unwrap();
    path
}

fn config(root: &Path) -> TrainInfinity {
    TrainInfinity {
        data: data(root),
        tokenizer: tokenizer(root),
        seed: 4,
        steps: 6,
        batch: 3,
        flips: true,
        shift: 1,
        model: TransformerSizes { depth: 2, width: 16, heads: 2, hidden: Some(32), gate: 0.1 },
        text: TextSizes { depth: 2, width: 8, heads: 2, head_width: 4, hidden: 16, rows: 12 },
        start: None,
        prompt_dropout: 0.4,
        self_correction: SelfCorrection::default(),
        dtype: Dtype::F32,
        training: Training { micro_batches: 2, ..training() },
    }
}

fn files(folder: &Path, tokenizer: PathBuf) -> InfinityFiles {
    InfinityFiles {
        tokenizer,
        backbone: folder.join("backbone.safetensors"),
        text: TextFiles {
            encoder: folder.join("text.safetensors"),
            tokenizer: folder.join("tokenizer.json"),
        },
        text_cache: None,
        size: None,
        aspect: None,
        scales: None,
        norm_groups: None,
    }
}

#[test]
fn a_run_stopped_after_every_step_equals_a_straight_one_and_what_it_writes_draws_from_prompts() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let path = |name: &str| folder.path().join(name);
    let config = config(folder.path());
    let outcome = train_infinity(&config, &options(path("straight")), &device).unwrap();
    let stopping = Options { max_minutes: Some(0.0), ..options(path("resumed")) };
    for step in 1..config.steps {
        assert_eq!(train_infinity(&config, &stopping, &device).unwrap().step, step);
    }
    assert_eq!(train_infinity(&config, &stopping, &device).unwrap().evaluation, outcome.evaluation);
    let written = ["backbone.safetensors", "text.safetensors", "tokenizer.json"];
    let files_of_a_run =
        [checkpoint::FILE, "evaluation.csv", "samples-000004.png", written[0], written[1], written[2]];
    assert_same(&path("straight"), &path("resumed"), &files_of_a_run);
    let names: Vec<&str> = outcome.evaluation.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names[..2], ["caption.all", "caption.scale_0"]);
    assert_eq!(names[4], "null.all");

    // The tensors have upstream's keys, and the header has the thresholds of the captions' words.
    let file = WeightFile::open(path("straight/text.safetensors")).unwrap();
    let thresholds: Thresholds = serde_json::from_str(&file.metadata()["thresholds"]).unwrap();
    assert!(thresholds.dark < thresholds.bright && thresholds.cold < thresholds.warm, "{thresholds:?}");
    assert_eq!(file.metadata()["farthest"], "128");

    let source = files(&path("straight"), config.tokenizer.clone());
    let node = Document::parse("model", "()").unwrap();
    let open = source.open(&node).unwrap();
    assert_eq!((open.schedule(), open.alphabet()), (&scales(), Alphabet::bits(6)));
    let prompt = |text: &str| Condition::Prompt(text.into());
    let conditions = [
        prompt("a red car"),
        prompt("A dark photo of a plane."),
        prompt("a plane").avoiding(prompt("a red plane")),
        Condition::Null,
    ];
    assert!(open.remarks(&conditions).unwrap().is_empty());
    let load =
        LoadOptions { device: &device, dtype: Dtype::F32, with_encoder: false, conditions: &conditions };
    let draw = |open: &dyn OpenModel| {
        let cfg = std::sync::Arc::new(Cfg::scale(Strength::Constant(2.0)).unwrap());
        let sampler = std::sync::Arc::new(TopKTopP::default());
        let noise = std::sync::Arc::new(Counter::new(1));
        let generator = Generator::new(open.load(&load).unwrap(), cfg, sampler, noise).unwrap();
        let batch = Batch { images: &[0, 0, 0, 0], conditions: &conditions };
        generator.batch(batch, &mut (), &Stop::new()).unwrap()
    };
    let images = draw(&*open);
    assert_eq!(images.dims(), [4, 3, 32, 32]);
    let images = images.into_data();
    assert_eq!(images, draw(&*open).into_data());

    // The same files as part of a program.
    let part = |name, file: &Path| EmbeddedFile {
        name,
        bytes: Box::leak(std::fs::read(file).unwrap().into_boxed_slice()),
    };
    let embedded = vec![
        part("tokenizer", &config.tokenizer),
        part("backbone", &path("straight/backbone.safetensors")),
        part("text", &path("straight/text.safetensors")),
        part("vocabulary", &path("straight/tokenizer.json")),
    ];
    let files: &'static [EmbeddedFile] = Box::leak(embedded.into_boxed_slice());
    let shipped = Shipped { name: "tiny", about: "", family: &InfinityFamily, class_names: &[], files };
    let shipped = shipped.open(&node).unwrap();
    assert!(shipped.takes().prompts && shipped.describe() == "Shipped(\"tiny\")");
    assert_eq!(images, draw(&*shipped).into_data());

    let unknown = open.remarks(&[prompt("a red xylophone")]).unwrap();
    assert!(unknown.len() == 1 && unknown[0].contains("xylophone"), "{unknown:?}");
}

#[test]
fn what_is_learnt_lowers_the_loss_and_reaches_the_text_encoder() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let path = |name: &str| folder.path().join(name);
    let training = Training {
        learning_rate: 1e-2,
        muon: Some(MuonConfig::default()),
        log_every: 20,
        sample_every: 0,
        ..training()
    };
    let config = TrainInfinity { steps: 100, batch: 6, training, ..config(folder.path()) };
    let outcome = train_infinity(&config, &options(path("out")), &device).unwrap();
    let losses = column(&path("out"), "loss");
    assert!(losses[4] < 0.9 * losses[0], "{losses:?}");
    let tensors = |file: &str| {
        let file = WeightFile::open(path(file)).unwrap();
        file.names().map(|name| (name.to_owned(), file.values(name).unwrap().0)).collect::<Vec<_>>()
    };
    // Every tensor of both has moved.
    let short = TrainInfinity { steps: 1, ..config.clone() };
    let still = Training { learning_rate: 1e-9, muon: None, ema: 0.0, ..config.training.clone() };
    let first = TrainInfinity { training: still.clone(), ..short.clone() };
    train_infinity(&first, &options(path("first")), &device).unwrap();
    for file in ["backbone.safetensors", "text.safetensors"] {
        let (before, after) = (tensors(&format!("first/{file}")), tensors(&format!("out/{file}")));
        for ((name, before), (_, after)) in before.iter().zip(&after) {
            assert!(before != after, "{name} of {file} has not learnt");
        }
    }

    // Another run starts from both; with a negligible learning rate it reproduces their numbers.
    let begun = TrainInfinity { start: Some(path("out/backbone.safetensors")), training: still, ..short };
    let again = train_infinity(&begun, &options(path("begun")), &device).unwrap().evaluation;
    assert!((again[0].1 - outcome.evaluation[0].1).abs() < 0.05, "{again:?} {outcome:?}");
    let deeper = TransformerSizes { depth: 3, ..begun.model.clone() };
    let error =
        train_infinity(&TrainInfinity { model: deeper, ..begun.clone() }, &options(path("x")), &device);
    let error = error.unwrap_err().to_string();
    assert!(error.starts_with("start: ") && error.contains("depth: 2 there, 3 here"), "{error}");
    let wider = TextSizes { hidden: 24, ..begun.text.clone() };
    let error = train_infinity(&TrainInfinity { text: wider, ..begun.clone() }, &options(path("y")), &device);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("text.safetensors") && error.contains("hidden: 16 there, 24 here"), "{error}");
    std::fs::write(path("out/tokenizer.json"), "{}").unwrap();
    let error = train_infinity(&begun, &options(path("z")), &device).unwrap_err().to_string();
    assert!(error.contains("tokenizer.json is not the vocabulary of these captions"), "{error}");
}

#[test]
fn mixed_precision_and_micro_batches_take_the_course_of_f32_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let path = |name: &str| folder.path().join(name);
    let config = TrainInfinity { steps: 8, ..config(folder.path()) };
    let all = |name: &str, config: &TrainInfinity| {
        train_infinity(config, &options(path(name)), &device).unwrap().evaluation[0].1
    };
    let parts = all("parts", &config);
    let whole = Training { micro_batches: 1, ..config.training.clone() };
    let whole = all("whole", &TrainInfinity { training: whole, ..config.clone() });
    assert!((parts - whole).abs() < 1e-3, "{parts} {whole}");
    let mixed = TrainInfinity { dtype: Dtype::Bf16, ..config };
    if !nextscale_kernels::rounds() {
        let error = train_infinity(&mixed, &options(path("mixed")), &device).unwrap_err().to_string();
        assert!(error.starts_with("dtype: this processor does not"), "{error}");
        return nextscale_kernels::skip_test("bf16");
    }
    let mixed = all("mixed", &mixed);
    assert!(mixed != parts && (mixed - parts).abs() < 0.05, "{parts} {mixed}");
}

/// The encoder and the transformer of a trained model can also be read separately.
#[test]
fn the_files_are_those_of_their_parts() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let config = TrainInfinity { steps: 1, ..config(folder.path()) };
    let out = folder.path().join("out");
    train_infinity(&config, &options(out.clone()), &device).unwrap();
    let encoder = TextEncoder::open(out.join("text.safetensors"), out.join("tokenizer.json")).unwrap();
    let sizes = encoder.config();
    assert_eq!((sizes.width, sizes.depth, sizes.heads, sizes.head_width, sizes.hidden), (8, 2, 2, 4, 16));
    let vocabulary = PromptTokenizer::open(out.join("tokenizer.json")).unwrap();
    assert_eq!(vocabulary.len(), sizes.vocabulary);
    let words: BTreeSet<u32> =
        vocabulary.tokens("a dark, cold photo of an orange car").unwrap().ids.into_iter().collect();
    assert!(!words.contains(&2), "a word is unknown");
    let file = WeightFile::open(out.join("text.safetensors")).unwrap();
    assert!(T5::load(&file, sizes, &device).is_ok());
    let backbone = Infinity::open(out.join("backbone.safetensors"), None, &device).unwrap();
    let found = backbone.config();
    assert_eq!((found.depth, found.width, found.bits, found.text_rows, found.levels), (2, 16, 6, 12, 3));
}

#[test]
fn the_config_that_comes_with_the_program_is_read_up_to_its_tokenizer_and_mistakes_are_named() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/train");
    let mut node = Document::read(&folder.join("cifar10-text-backbone.ron")).unwrap();
    node.assign("tokenizer=\"nowhere.safetensors\"").unwrap();
    let out = tempfile::tempdir().unwrap();
    let train =
        |node: &Node| architecture().train(node, out.path(), &options(out.path().into()), &Device::flex());
    let error = train(&node).unwrap_err();
    assert!(matches!(error, Error::Train(_)) && error.to_string().contains("nowhere"), "{error}");
    for (change, told) in [
        ("self_correction.strength=2.0", "self_correction.strength"),
        ("prompt_dropout=1.5", "prompt_dropout"),
        ("text.rows=0", "text.rows"),
        ("model.with=3", "unknown field `with`"),
        ("steps=0", "steps"),
    ] {
        let mut wrong = node.clone();
        wrong.assign(change).unwrap();
        let error = train(&wrong).unwrap_err().to_string();
        assert!(error.contains(told), "{change}: {error}");
    }
    let root = tempfile::tempdir().unwrap();
    let config = config(root.path());
    let refused = |config: TrainInfinity| {
        train_infinity(&config, &options(root.path().join("x")), &Device::flex()).unwrap_err().to_string()
    };
    let few = TextSizes { rows: 5, ..config.text.clone() };
    let error = refused(TrainInfinity { text: few, ..config.clone() });
    assert!(error.starts_with("text.rows: 5 are fewer than the 11 tokens of the caption"), "{error}");
    let heads = TransformerSizes { heads: 3, ..config.model.clone() };
    assert!(refused(TrainInfinity { model: heads, ..config.clone() }).contains("heads: 3 does not divide"));
    let none = TransformerSizes { depth: 0, ..config.model.clone() };
    assert!(refused(TrainInfinity { model: none, ..config.clone() }).contains("depth"));
    let empty = TextSizes { width: 0, ..config.text.clone() };
    assert!(refused(TrainInfinity { text: empty, ..config }).contains("width"));
}
