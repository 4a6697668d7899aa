//! A small model of hybrid tokens and texts with random weights, from configs to images.

#[path = "common/hart.rs"]
mod hart;

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, TensorData};
use hart::{schedule, sizes};
use image::RgbImage;
use nextscale_backbones::hart::{HartConfig, Initialisation};
use nextscale_config::Document;
use nextscale_pipeline::calibration::{CalibrationOptions, calibrate};
use nextscale_pipeline::{Config, Error, Prepared, Registry, RunOptions, images, run};
use nextscale_tokenizers::hybrid::HybridVq;
use nextscale_tokenizers::vq::VqvaeConfig;
use nextscale_weights::{Precision, WeightFile, save_safetensors};
use safetensors::SafeTensors;

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures")).join(name)
}

/// Images of 8 × 8 pixels.
fn layout() -> VqvaeConfig {
    VqvaeConfig { latent_channels: 4, vocabulary: 24, ..VqvaeConfig::new(32, &[1, 1]) }
}

fn place(averaged: bool) -> tempfile::TempDir {
    hart::place(&layout(), averaged)
}

fn model(rest: &str) -> String {
    let text = fixture("text/qwen2");
    format!("Hart(folder: \"hart\", text: (encoder: {text:?}{rest}")
}

const PROMPTS: &str = "Prompts(texts: [\"a red truck\", \"two blue ships on the sea\", \"one small ship\"], negative: \"blur\")";
const SSG_OVER_CFG: &str = "guidance: Ssg(base: Cfg(scale: 2.0), prior: Dse(), beta: 0.5)";

/// `rest` continues the text's settings, and must close them.
fn config(rest: &str, condition: &str, run: &str) -> String {
    format!("(model: {}, condition: {condition}, seed: 5, {run})", model(rest))
}

fn prepare(folder: &Path, text: &str) -> Result<Prepared, Error> {
    Config::from_node(&Document::parse("run.ron", text)?, folder, &Registry::standard())?.prepare()
}

fn go(folder: &Path, text: &str, out: &str, trace: Option<&str>) -> Result<Vec<RgbImage>, Error> {
    let prepared = prepare(folder, text)?;
    let out = folder.join(out);
    run(&prepared, &RunOptions { trace: trace.map(|trace| folder.join(trace)), ..RunOptions::new(&out) })?;
    let picture = |image| images::read(&out.join(format!("images/{image:05}.png")));
    (0..prepared.conditions.len()).map(picture).collect()
}

fn told(folder: &Path, text: &str) -> String {
    match prepare(folder, text).err().unwrap_or_else(|| panic!("{text}")) {
        Error::Config(error) => format!("{error}; {}", error.help_text().unwrap_or_default()),
        error => error.to_string(),
    }
}

#[test]
fn images_follow_texts_and_are_the_same_in_every_batch_and_from_the_resolved_config() {
    let place = place(false);
    let text = |batch: usize| config("))", PROMPTS, &format!("{SSG_OVER_CFG}, batch: {batch}"));
    let first = go(place.path(), &text(1), "1", None).unwrap();
    assert!(first[0] != first[1] && first[1] != first[2]);
    for batch in [2, 3] {
        assert_eq!(go(place.path(), &text(batch), &batch.to_string(), None).unwrap(), first, "{batch}");
    }
    let resolved = fs::read_to_string(place.path().join("1/config.ron")).unwrap();
    assert!(resolved.contains("diffusion_steps: 3") && resolved.contains("residual: true"), "{resolved}");
    assert_eq!(go(place.path(), &resolved, "again", None).unwrap(), first);
    let other = text(3).replace("negative: \"blur\"", "negative: \"a house\"");
    assert_ne!(go(place.path(), &other, "negative", None).unwrap(), first);
}

#[test]
fn settings_of_the_model_make_other_images_and_other_runs() {
    let place = place(true);
    let mut made = Vec::new();
    let settings = [
        "))",
        ", system: \"Describe the picture well: \"))",
        "), averaged: false)",
        "), residual: false)",
        "), diffusion_steps: 5)",
        "), residual_cfg: 0)",
        "), scales: [1, 3, 4])",
    ];
    for (i, rest) in settings.into_iter().enumerate() {
        let text = config(rest, PROMPTS, SSG_OVER_CFG);
        let identity = prepare(place.path(), &text).unwrap().identity().to_owned();
        made.push((identity, go(place.path(), &text, &format!("{i}"), None).unwrap()));
    }
    for (i, one) in made.iter().enumerate() {
        for (j, other) in made.iter().enumerate().skip(i + 1) {
            assert!(one.0 != other.0 && one.1 != other.1, "{} and {}", settings[i], settings[j]);
        }
    }
    // The default takes averaged weights where there are any.
    let text = config("), averaged: true)", PROMPTS, SSG_OVER_CFG);
    assert_eq!(go(place.path(), &text, "averaged", None).unwrap(), made[0].1);
}

#[test]
fn every_kind_of_rule_and_soft_codes_draw() {
    let place = place(false);
    let plain = go(place.path(), &config("))", PROMPTS, "guidance: Conditional"), "plain", None).unwrap();
    let runs = [
        "guidance: Cfg(scale: 3.0)",
        "guidance: CfgInside(layers: [1], weight: 2.0)",
        "guidance: Ssg(prior: Dse(), beta: 0.5)",
        "guidance: Vpg(base: Cfg(scale: 1.0), share: 0.5, weight: 1.0)",
        "guidance: SkipLayers(layers: [1], weight: 1.0)",
        "guidance: PerturbedAttention(layers: [1, 2], weight: 1.0)",
        "guidance: Conditional, sampling: TopKTopP(top_k: List([20, 20, 10]), more_smooth: true, smooth_held: 1)",
    ];
    for (i, rest) in runs.into_iter().enumerate() {
        let text = |batch: usize| config("))", PROMPTS, &format!("{rest}, batch: {batch}"));
        let first = go(place.path(), &text(1), &format!("one {i}"), None).unwrap();
        assert_ne!(first, plain, "{rest}");
        assert_eq!(go(place.path(), &text(3), &format!("many {i}"), None).unwrap(), first, "{rest}");
    }
    // The last scale's mix is another where it is not held.
    let held = go(place.path(), &config("))", PROMPTS, runs[6]), "held", None).unwrap();
    let free = runs[6].replace(", smooth_held: 1", "");
    assert_ne!(go(place.path(), &config("))", PROMPTS, &free), "free", None).unwrap(), held);
}

#[test]
fn a_trace_has_the_residual_of_the_last_scale() {
    let place = place(false);
    let read = |rest: &str, name: &str| {
        let text = config(rest, PROMPTS, SSG_OVER_CFG);
        go(place.path(), &text, &format!("out {name}"), Some(name)).unwrap();
        fs::read(place.path().join(name)).unwrap()
    };
    let bytes = read("))", "with.safetensors");
    let trace = SafeTensors::deserialize(&bytes).unwrap();
    let shape = |name: &str| trace.tensor(name).unwrap().shape().to_vec();
    for (k, positions) in [1, 4, 16].into_iter().enumerate() {
        assert_eq!(shape(&format!("scale.{k}.tokens")), [3, positions]);
        for pass in ["conditional", "unconditional", "guided"] {
            assert_eq!(shape(&format!("scale.{k}.{pass}")), [3, positions, 24]);
        }
        assert_eq!(shape(&format!("scale.{k}.canvas")), [3, 4, 4, 4]);
        assert_eq!(trace.tensor(&format!("scale.{k}.residual")).is_ok(), k == 2);
    }
    assert_eq!(shape("scale.2.residual"), [3, 4, 4, 4]);
    // Without it the tokens are the same, and the canvases differ by it.
    let bare = read("), residual: false)", "without.safetensors");
    let bare = SafeTensors::deserialize(&bare).unwrap();
    assert!(bare.tensor("scale.2.residual").is_err());
    assert_eq!(trace.tensor("scale.2.tokens").unwrap().data(), bare.tensor("scale.2.tokens").unwrap().data());
    let numbers = |trace: &SafeTensors<'_>, name: &str| -> Vec<f32> {
        bytemuck::pod_collect_to_vec(trace.tensor(name).unwrap().data())
    };
    let residual = numbers(&trace, "scale.2.residual");
    assert!(residual.iter().all(|x| x.abs() <= 0.6 + 1e-6) && residual.iter().any(|x| x.abs() > 1e-3));
    let (with, without) = (numbers(&trace, "scale.2.canvas"), numbers(&bare, "scale.2.canvas"));
    for ((with, without), residual) in with.iter().zip(&without).zip(&residual) {
        assert!((with - without - residual).abs() < 1e-5);
    }
}

#[test]
fn a_calibrated_prior_guides_and_encoded_prompts_are_kept() {
    let place = place(false);
    let cfg = config("), text_cache: \"cache\")", PROMPTS, "guidance: Cfg(scale: 2.0)");
    let out = place.path().join("averages.safetensors");
    let made = calibrate(&prepare(place.path(), &cfg).unwrap(), &CalibrationOptions::new(&out)).unwrap();
    assert_eq!(made.images, 3);
    let marginal =
        "guidance: Ssg(base: Cfg(scale: 2.0), prior: Marginal(file: \"averages.safetensors\"), beta: 0.5)";
    let plain = go(place.path(), &cfg, "plain", None).unwrap();
    let guided = config("), text_cache: \"cache\")", PROMPTS, marginal);
    assert_ne!(go(place.path(), &guided, "guided", None).unwrap(), plain);
    let uncached = config("))", PROMPTS, "guidance: Cfg(scale: 2.0)");
    assert_eq!(go(place.path(), &uncached, "uncached", None).unwrap(), plain);
    // With other steps of the residual it is another model.
    assert!(
        prepare(place.path(), &guided.replace("), text_cache", "), diffusion_steps: 4, text_cache")).is_err()
    );
}

#[test]
fn files_are_told_by_name_and_sizes() {
    let recognise = |path: PathBuf| Registry::standard().recognise(&WeightFile::open(path).unwrap()).unwrap();
    for (name, head) in [("model.safetensors", "depth 3, width 48, 4 heads"), ("ema_model.bin", "depth 3")] {
        let words = recognise(fixture("hart/main/llm").join(name));
        assert!(
            words.starts_with("A HART transformer that can be used: ") && words.contains(head),
            "{words}"
        );
        assert!(words.contains("a diffusion head of 2 blocks of width 32"), "{words}");
        assert!(words.contains("under CFG takes about") && words.contains("of keys and values"), "{words}");
        assert!(words.contains("With the published tokenizer, an image of 128 × 128 pixels"), "{words}");
    }
    // Beside its own tokenizer, the image is as large as that makes it.
    let place = place(false);
    let words = recognise(place.path().join("hart/llm/model.safetensors"));
    assert!(words.contains("\nAn image of 8 × 8 pixels under CFG takes about"), "{words}");
    let words = recognise(fixture("hart/tokenizer/model.safetensors"));
    assert_eq!(
        words,
        "A hybrid multi-scale tokenizer that can be used: 32 channels times [2, 1], 96 codes of 8 channels and a continuous \
         residual, 2 pixels per latent, scales 1 2 3 4 6 8"
    );
    // VAR's stays VAR's.
    assert!(recognise(fixture("var/vae.safetensors")).starts_with("A multi-scale VQ tokenizer"));
    let device = Device::flex();
    let file = WeightFile::open(fixture("hart/tokenizer/model.safetensors")).unwrap();
    let tokenizer = Registry::standard().open_tokenizer(&file, (16, 16), &device).unwrap();
    assert_eq!(tokenizer.image_size(), (16, 16));
}

#[test]
fn what_does_not_fit_is_told_before_weights_are_read() {
    let place = place(false);
    let folder = place.path();
    let asks = |rest: &str| told(folder, &config(rest, PROMPTS, SSG_OVER_CFG));

    // The head.
    let error = asks("), diffusion_steps: 0)");
    assert!(error.contains("diffusion_steps: 0; give 1 to 1000"), "{error}");
    let error = asks("), residual: false, diffusion_steps: 4)");
    assert!(error.contains("`diffusion_steps` is of the residual"), "{error}");
    let bare = HartConfig { residual: None, ..sizes() }.init(&Initialisation::default(), &Device::flex());
    bare.unwrap().save(folder.join("hart/llm/ema_model.bin"), Precision::F32).unwrap();
    let error = asks("), residual: true)");
    assert!(error.contains("has no diffusion head (`diffloss.net.*`)"), "{error}");
    prepare(folder, &config("))", PROMPTS, SSG_OVER_CFG)).unwrap();

    // Averaged weights that lack a tensor; none.
    let whole = WeightFile::open(folder.join("hart/llm/model.safetensors")).unwrap();
    let part = whole.names().filter(|name| !name.starts_with("blocks.1.ffn.up_proj")).map(|name| {
        let (values, shape) = whole.values(name).unwrap();
        (name.to_owned(), TensorData::new(values, shape))
    });
    let path = folder.join("hart/llm/ema_model.bin");
    save_safetensors(&path, part, Precision::F32, &Default::default()).unwrap();
    let error = asks("))");
    assert!(error.contains("missing tensor `blocks.1.ffn.up_proj.weight` [40, 32]"), "{error}");
    fs::remove_file(path).unwrap();
    let error = asks("), averaged: true)");
    assert!(error.contains("there is no") && error.contains("ema_model.bin"), "{error}");

    // Scales and sizes.
    assert!(asks("), scales: [2, 4])").contains("the first is 2×2"));
    assert!(asks("), scales: [1, 2, 3, 4, 5])").contains("level embeddings for 4"));
    let error = asks("), scales: [1, 60000])");
    assert!(error.starts_with("scales: ") && error.contains("GB of memory"), "{error}");

    // The language model.
    let qwen = fixture("text/qwen2");
    let copy = folder.join("qwen");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(&qwen).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    let of_copy = |rest: &str| {
        let text = config(rest, PROMPTS, SSG_OVER_CFG);
        text.replace(&format!("{qwen:?}"), "\"qwen\"")
    };
    prepare(folder, &of_copy("))")).unwrap();
    fs::remove_file(copy.join("config.json")).unwrap();
    let error = told(folder, &of_copy("))"));
    assert!(
        error.contains("qwen/config.json") && error.contains("give the folder that was published"),
        "{error}"
    );
    let t5 = fixture("infinity/t5/t5_encoder.safetensors");
    let error = told(
        folder,
        &config("))", PROMPTS, SSG_OVER_CFG)
            .replace(&format!("encoder: {qwen:?}"), &format!("encoder: {t5:?}, tokenizer: {qwen:?}")),
    );
    assert!(error.contains("is not a Qwen2"), "{error}");
    let narrow = HartConfig { text_width: 40, ..sizes() };
    let narrow = narrow.init(&Initialisation::default(), &Device::flex()).unwrap();
    narrow.save(folder.join("hart/llm/model.safetensors"), Precision::F32).unwrap();
    let error = asks("))");
    assert!(error.contains("gives rows of 48 channels") && error.contains("was made for 40"), "{error}");
    fs::remove_file(folder.join("hart/llm/config.json")).unwrap();
    assert!(asks("))").contains("llm/config.json"));

    // Another tokenizer.
    let place = self::place(false);
    let other = VqvaeConfig { vocabulary: 20, ..layout() };
    let other = HybridVq::init(&other, schedule(), 7, &Device::flex()).unwrap();
    let path = place.path().join("hart/tokenizer/model.safetensors");
    other.save(&path, Precision::F32).unwrap();
    let error = told(place.path(), &config("))", PROMPTS, SSG_OVER_CFG));
    assert!(error.contains("has 20 codes") && error.contains("was made for 24"), "{error}");
    let settings = place.path().join("hart/tokenizer/config.json");
    fs::write(settings, r#"{"quantizer_type": "var_hybrid", "using_znorm": true}"#).unwrap();
    let error = told(place.path(), &config("))", PROMPTS, SSG_OVER_CFG));
    assert!(error.contains("`using_znorm` is true"), "{error}");
}

#[test]
fn prompts_are_checked_before_anything_is_loaded() {
    let place = place(false);
    let asks = |condition: &str| config("))", condition, "guidance: Conditional");
    let error = told(place.path(), &asks("Prompts([\"a ship\", \"\"])"));
    assert!(error.contains("prompt 2 is empty") && error.contains("condition: Null"), "{error}");
    assert!(told(place.path(), &asks("Labels([1])")).contains("the model takes no classes"));
    let long = "one two three four five six seven eight nine ten";
    let prepared = prepare(place.path(), &asks(&format!("Prompts([\"a ship\", \"{long}\"])"))).unwrap();
    let [remark] = prepared.remarks() else { panic!("{:?}", prepared.remarks()) };
    assert!(remark.contains("prompt 2") && remark.contains("only the first 12 are read"), "{remark}");
    let null = go(place.path(), &asks("Null"), "null", None).unwrap();
    assert_eq!(null.len(), 1);
}
