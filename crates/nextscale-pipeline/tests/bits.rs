//! The reference models of bits and texts, from configs to images.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use image::{Rgb, RgbImage};
use nextscale_backbones::TextConditioner;
use nextscale_backbones::infinity::{InfinityConfig, Initialisation};
use nextscale_config::Document;
use nextscale_core::noise::Counter;
use nextscale_core::{Condition, Grid, ScaleSchedule};
use nextscale_generate::sampler::Argmax;
use nextscale_guidance::{Cfg, CfgInside, Strength};
use nextscale_pipeline::calibration::{CalibrationOptions, calibrate};
use nextscale_pipeline::{
    Batch, Config, Error, Generator, LoadOptions, Model, Prepared, Registry, RunOptions, Stop, Worker,
    images, merge, run, run_shard,
};
use nextscale_shards::Shard;
use nextscale_text::{PromptTokenizer, T5Config, word_level};
use nextscale_weights::{Precision, WeightFile};
use safetensors::SafeTensors;

use common::Record;

/// Channels of the texts that the reference models read.
const WIDTH: usize = 256;

fn fixture(group: &str, name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/infinity");
    Path::new(folder).join(group).join(name)
}

/// A folder with a small text encoder and its vocabulary.
fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let words = ["a red truck", "a blue ship", "one very small bird on a house", "blur"];
    let vocabulary = word_level(words).unwrap();
    fs::write(place.path().join("tokenizer.json"), &vocabulary).unwrap();
    let rows = PromptTokenizer::from_bytes(vocabulary.as_bytes(), "words").unwrap().len();
    encoder(rows, WIDTH, &place.path().join("t5.safetensors"));
    place
}

fn encoder(rows: usize, width: usize, path: &Path) {
    let config = T5Config { head_width: 8, ..T5Config::new(rows, width, 1, 2, 32) };
    config.init(4, &Device::flex()).unwrap().save(path, Precision::F32).unwrap();
}

fn model(group: &str, rest: &str) -> String {
    let (vae, backbone) = (fixture(group, "vae.safetensors"), fixture(group, "infinity.safetensors"));
    format!(
        "Infinity(tokenizer: {vae:?}, backbone: {backbone:?}, text: (encoder: \"t5.safetensors\", tokenizer: \"tokenizer.json\"), \
         {rest})"
    )
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

const PROMPTS: &str =
    "Prompts(texts: [\"a red truck\", \"a blue ship\", \"one very small bird\"], negative: \"blur\")";
const SSG_OVER_CFG: &str = "guidance: Ssg(base: Cfg(scale: 2.0), prior: Dse(), beta: 0.5)";

fn config(group: &str, model_rest: &str, condition: &str, rest: &str) -> String {
    format!("(model: {}, condition: {condition}, seed: 5, {rest})", model(group, model_rest))
}

/// Recorded bits of scale `k` as tokens.
fn tokens(file: &WeightFile, k: usize, grid: Grid) -> Vec<i64> {
    let bits: Tensor<5, Int> = file.int_tensor(&format!("bits.{k}"), &Device::flex()).unwrap();
    let [batch, _, height, width, channels] = bits.dims();
    let (patch, bits) = (height / grid.height, common::integers(&bits));
    let mut tokens = Vec::new();
    for (image, row, column) in (0..batch)
        .flat_map(|image| (0..grid.height).map(move |row| (image, row)))
        .flat_map(|(image, row)| (0..grid.width).map(move |column| (image, row, column)))
    {
        for (channel, i, j) in
            (0..channels).flat_map(|c| (0..patch * patch).map(move |p| (c, p / patch, p % patch)))
        {
            let at = (image * height + row * patch + i) * width + column * patch + j;
            tokens.push(bits[at * channels + channel]);
        }
    }
    tokens
}

#[test]
fn recorded_texts_make_upstreams_bits_and_images() {
    let place = place();
    let device = Device::flex();
    let runs = [
        ("reference.safetensors", "scales: [1, 2, 4, 6, 8]"),
        ("reference_pn0.06M.safetensors", "size: \"0.06M\""),
    ];
    for (group, (file, scales)) in
        ["base", "patchify"].into_iter().flat_map(|group| runs.map(|run| (group, run)))
    {
        let reference = WeightFile::open(fixture(group, file)).unwrap();
        let node = Document::parse("run.ron", &format!("(model: {})", model(group, scales))).unwrap();
        let open = Registry::standard().in_folder(place.path()).open_model(&node).unwrap();
        let loaded = open.load(&LoadOptions::new(&device)).unwrap();

        // The recorded texts are an encoder's, concatenated.
        let lengths = reference.int_tensor::<1>("text_lens", &device).unwrap();
        let (text, mut from) = (reference.tensor::<2>("text", &device).unwrap(), 0);
        let rows = common::integers(&lengths).into_iter().enumerate().map(|(image, length)| {
            let own = text.clone().slice_dim(0, from..from + length as usize);
            from += length as usize;
            (format!("text {image}"), own)
        });
        let rows: Vec<_> = rows.collect();
        let conditions: Vec<_> = rows.iter().map(|(text, _)| Condition::Prompt(text.clone())).collect();
        let backbone = WeightFile::open(fixture(group, "infinity.safetensors")).unwrap();
        let null = backbone.tensor::<2>("cfg_uncond", &device).unwrap();
        let conditioner = TextConditioner::new(null, rows).unwrap();
        let model = Model::new(loaded.tokenizer, loaded.backbone, Arc::new(conditioner)).unwrap();

        let weights = reference.values("cfg_list").unwrap().0;
        let weights = Strength::List(weights.into_iter().map(f64::from).collect());
        let rule = Arc::new(Cfg::weight(weights).unwrap());
        let schedule = model.schedule().clone();
        let generator = Generator::new(model, rule, Arc::new(Argmax), Arc::new(Counter::new(0))).unwrap();
        let images: Vec<u64> = (0..conditions.len() as u64).collect();
        let mut record = Record::default();
        let batch = Batch { images: &images, conditions: &conditions };
        let made = generator.batch(batch, &mut record, &Stop::new()).unwrap();
        for (k, found) in record.tokens.iter().enumerate() {
            assert_eq!(*found, tokens(&reference, k, schedule.grid(k)), "{group} {file} scale {k}");
        }
        let expected = reference.values("vae_dec_out").unwrap().0;
        common::assert_near(&common::floats(&(made * 2.0 - 1.0)), &expected, 1e-4, file);
    }
}

#[test]
fn a_recorded_negative_guided_inside_the_model_makes_upstreams_bits_on_grids_that_are_not_square() {
    let place = place();
    let device = Device::flex();
    for (group, layer) in [("base", 2), ("patchify", 1)] {
        let reference = WeightFile::open(fixture(group, "reference_b.safetensors")).unwrap();
        let scales = "scales: [1, 2, (4, 3), (8, 6), (12, 9)]";
        let node = Document::parse("run.ron", &format!("(model: {})", model(group, scales))).unwrap();
        let open = Registry::standard().in_folder(place.path()).open_model(&node).unwrap();
        let loaded = open.load(&LoadOptions::new(&device)).unwrap();
        let rows = [("text", "text"), ("blur", "neg_text")]
            .map(|(prompt, name)| (prompt.to_owned(), reference.tensor::<2>(name, &device).unwrap()));
        let backbone = WeightFile::open(fixture(group, "infinity.safetensors")).unwrap();
        let null = backbone.tensor::<2>("cfg_uncond", &device).unwrap();
        let conditioner = TextConditioner::new(null, rows).unwrap();
        let model = Model::new(loaded.tokenizer, loaded.backbone, Arc::new(conditioner)).unwrap();
        let weights = reference.values("cfg_list").unwrap().0;
        let weights = Strength::List(weights.into_iter().map(f64::from).collect());
        let rule = Arc::new(CfgInside::new(&[layer], weights).unwrap());
        let schedule = model.schedule().clone();
        let generator = Generator::new(model, rule, Arc::new(Argmax), Arc::new(Counter::new(0))).unwrap();
        let prompt = |text: &str| Condition::Prompt(text.into());
        let conditions = [prompt("text").avoiding(prompt("blur"))];
        let mut record = Record::default();
        let batch = Batch { images: &[0], conditions: &conditions };
        let made = generator.batch(batch, &mut record, &Stop::new()).unwrap();
        for (k, found) in record.tokens.iter().enumerate() {
            assert_eq!(*found, tokens(&reference, k, schedule.grid(k)), "{group} scale {k}");
        }
        let expected = reference.values("vae_dec_out").unwrap().0;
        common::assert_near(&common::floats(&(made * 2.0 - 1.0)), &expected, 1e-4, group);
    }
}

#[test]
fn images_follow_texts_and_are_the_same_in_every_batch_and_from_the_resolved_config() {
    let place = place();
    for (group, scales) in
        [("base", "size: \"0.06M\", aspect: \"3:1\""), ("patchify", "scales: [1, 2, (3, 5)]")]
    {
        let text = |batch: usize| config(group, scales, PROMPTS, &format!("{SSG_OVER_CFG}, batch: {batch}"));
        let first = go(place.path(), &text(1), &format!("{group} 1"), None).unwrap();
        assert!(first[0] != first[1] && first[1] != first[2]);
        for batch in [2, 3] {
            let out = format!("{group} {batch}");
            assert_eq!(go(place.path(), &text(batch), &out, None).unwrap(), first, "{out}");
        }
        let resolved = fs::read_to_string(place.path().join(format!("{group} 1/config.ron"))).unwrap();
        assert_eq!(go(place.path(), &resolved, &format!("{group} again"), None).unwrap(), first);
        let other = text(3).replace("negative: \"blur\"", "negative: \"a house\"");
        assert_ne!(go(place.path(), &other, &format!("{group} other"), None).unwrap(), first);
    }
}

#[test]
fn rules_that_lead_away_from_a_worse_prediction_draw_bits() {
    let place = place();
    let rules = [
        "Vpg(base: Cfg(scale: 1.0), share: 0.5, weight: 1.0)",
        "SkipLayers(layers: [1], weight: 1.0)",
        "PerturbedAttention(layers: [1, 2], weight: 1.0)",
    ];
    let plain = config("base", "scales: [1, 2, (3, 5)]", PROMPTS, "guidance: Conditional");
    let plain = go(place.path(), &plain, "plain", None).unwrap();
    for (i, rule) in rules.into_iter().enumerate() {
        let text = |batch: usize| {
            let rest = format!("guidance: {rule}, batch: {batch}");
            config("base", "scales: [1, 2, (3, 5)]", PROMPTS, &rest)
        };
        let first = go(place.path(), &text(1), &format!("one {i}"), None).unwrap();
        assert_ne!(first, plain, "{rule}");
        assert_eq!(go(place.path(), &text(3), &format!("many {i}"), None).unwrap(), first, "{rule}");
    }
    let beyond = config("base", "scales: [1, 2]", PROMPTS, "guidance: SkipLayers(layers: [5], weight: 1.0)");
    let error = prepare(place.path(), &beyond).err().unwrap().to_string();
    assert!(error.contains("5 is beyond the model's 4 blocks"), "{error}");
}

#[test]
fn shards_that_read_only_their_own_texts_give_the_images_of_one_run() {
    let place = place();
    let text = config("base", "scales: [1, 2, (3, 5)]", PROMPTS, &format!("{SSG_OVER_CFG}, batch: 2"));
    let single = go(place.path(), &text, "single", None).unwrap();
    let out = place.path().join("out");
    for index in [2, 0, 1] {
        let worker = Worker { shard: Shard::new(index, 3).unwrap(), from: "a test".into() };
        let prepared = prepare(place.path(), &text).unwrap();
        let summary = run_shard(&prepared, &RunOptions::new(&out), &worker).unwrap();
        assert_eq!((summary.made, summary.found), (1, 0));
    }
    assert_eq!(merge(&out).unwrap().images, 3);
    let picture = |image: usize| images::read(&out.join(format!("images/{image:05}.png"))).unwrap();
    assert_eq!((0..3).map(picture).collect::<Vec<_>>(), single);
}

#[test]
fn a_size_and_an_aspect_are_part_of_what_a_run_is() {
    let place = place();
    let of = |rest: &str| {
        let prepared =
            prepare(place.path(), &config("base", rest, "Prompts([\"a ship\"])", SSG_OVER_CFG)).unwrap();
        (
            prepared.identity().to_owned(),
            prepared.model.schedule().to_string(),
            prepared.resolved().to_ron_string(),
        )
    };
    let (square, lying) = (of("size: \"0.06M\""), of("size: \"0.06M\", aspect: \"8:6\""));
    assert_eq!((square.1.as_str(), lying.1.as_str()), ("1 2 4 6 8 12 16", "1 2 3×4 6×8 9×12 12×16 15×20"));
    assert_ne!(square.0, lying.0);
    assert!(lying.2.contains("aspect: \"4:3\"") && lying.2.contains("size: \"0.06M\""), "{}", lying.2);
    assert!(of("scales: [1, 2, 4]").2.contains("scales: ["));
}

#[test]
fn a_trace_has_bits_on_the_tokens_grids_and_canvases_on_the_latents() {
    let place = place();
    let text = config("patchify", "scales: [1, 2, (3, 4)]", PROMPTS, SSG_OVER_CFG);
    go(place.path(), &text, "out", Some("t.safetensors")).unwrap();
    let bytes = fs::read(place.path().join("t.safetensors")).unwrap();
    let trace = SafeTensors::deserialize(&bytes).unwrap();
    let shape = |name: &str| trace.tensor(name).unwrap().shape().to_vec();
    for (k, positions) in [1, 4, 12].into_iter().enumerate() {
        assert_eq!(shape(&format!("scale.{k}.tokens")), [3, positions, 12]);
        for pass in ["conditional", "unconditional", "guided"] {
            assert_eq!(shape(&format!("scale.{k}.{pass}")), [3, positions, 24]);
        }
        assert_eq!(trace.tensor(&format!("scale.{k}.prior")).is_ok(), k > 0);
        assert_eq!(shape(&format!("scale.{k}.canvas")), [3, 3, 6, 8]);
    }
    assert_eq!(shape("images"), [3, 3, 12, 16]);
}

#[test]
fn an_edit_keeps_a_box_of_the_given_image_on_grids_that_are_not_square() {
    let place = place();
    for (group, reduction) in [("base", 4), ("patchify", 4)] {
        let (height, width) = (15 * reduction, 20 * reduction);
        let given = RgbImage::from_fn(width, height, |x, y| {
            let wave = |a: u32, b: u32| (127.0 + 120.0 * (0.05 * (a * x + b * y) as f32).sin()) as u8;
            Rgb([wave(3, 1), wave(1, 4), wave(2, 2)])
        });
        images::write_png(&place.path().join("given.png"), &given).unwrap();
        let scales = "size: \"0.06M\", aspect: \"4:3\"";
        let edit = "edit: Keep(image: \"given.png\", rows: (0.0, 1.0), columns: (0.0, 0.5))";
        let text = config(group, scales, PROMPTS, &format!("{SSG_OVER_CFG}, {edit}"));
        let made = go(place.path(), &text, &format!("{group} edited"), Some(&format!("{group}.safetensors")))
            .unwrap();
        assert_ne!(made[0], made[1]);
        let bytes = fs::read(place.path().join(format!("{group}.safetensors"))).unwrap();
        let trace = SafeTensors::deserialize(&bytes).unwrap();
        let canvas = trace.tensor("scale.6.canvas").unwrap();
        let [images, channels, rows, columns] = canvas.shape() else { panic!("{:?}", canvas.shape()) };
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(canvas.data());
        // Far from the border, images have the same features on the kept side and different ones on the
        // other.
        let at = |image: usize, row: usize, column: usize| {
            values[((image * channels) * rows + row) * columns + column]
        };
        assert_eq!(*images, 3);
        let kept =
            |column: usize| (0..*rows).all(|row| (at(0, row, column) - at(1, row, column)).abs() < 1e-6);
        assert!(kept(0) && !kept(columns - 1), "{group}");
    }
}

#[test]
fn a_calibrated_prior_guides_bits() {
    let place = place();
    let scales = "scales: [1, 2, (3, 4)]";
    let cfg = config("base", scales, PROMPTS, "guidance: Cfg(scale: 2.0)");
    let out = place.path().join("averages.safetensors");
    let made = calibrate(&prepare(place.path(), &cfg).unwrap(), &CalibrationOptions::new(&out)).unwrap();
    assert_eq!(made.images, 3);
    let marginal =
        "guidance: Ssg(base: Cfg(scale: 2.0), prior: Marginal(file: \"averages.safetensors\"), beta: 0.5)";
    let plain = go(place.path(), &cfg, "plain", None).unwrap();
    let guided = go(place.path(), &config("base", scales, PROMPTS, marginal), "guided", None).unwrap();
    assert_ne!(plain, guided);
    // A tokenizer of other scales is refused.
    let other = config("base", "scales: [1, 2, 4]", PROMPTS, marginal);
    assert!(prepare(place.path(), &other).is_err());
}

#[test]
fn encoded_prompts_are_kept_and_used_again() {
    let place = place();
    let text = config("base", "scales: [1, 2, 4], text_cache: \"cache\"", PROMPTS, SSG_OVER_CFG);
    let first = go(place.path(), &text, "first", None).unwrap();
    let mut kept = Vec::new();
    for folder in fs::read_dir(place.path().join("cache")).unwrap() {
        kept.extend(fs::read_dir(folder.unwrap().path()).unwrap());
    }
    assert!(kept.len() >= 4, "{kept:?}");
    assert_eq!(go(place.path(), &text, "second", None).unwrap(), first);
}

#[test]
fn files_are_told_by_name_and_sizes() {
    let recognise = |group: &str, name: &str| {
        Registry::standard().recognise(&WeightFile::open(fixture(group, name)).unwrap()).unwrap()
    };
    let transformer = recognise("base", "infinity.safetensors");
    assert!(
        transformer
            .starts_with("An Infinity transformer that can be used: depth 4, width 64, 4 heads, 6 bits"),
        "{transformer}"
    );
    let tokenizer = "A bitwise multi-scale tokenizer that can be used: 32 channels times [1, 2, 1], 6 bits per latent, 4 pixels per latent";
    assert_eq!(recognise("base", "vae.pth"), tokenizer);
    let text = recognise("t5", "t5_encoder.safetensors");
    assert!(text.starts_with("A T5 text encoder that can be used: 3 blocks, width 48"), "{text}");
    let vq = WeightFile::open(common::path("vae.safetensors")).unwrap();
    assert!(Registry::standard().recognise(&vq).unwrap().contains("VQ"));
}

#[test]
fn what_does_not_fit_is_told_before_weights_are_read() {
    let place = place();
    let folder = place.path();
    let told = |text: &str| match prepare(folder, text).err().unwrap_or_else(|| panic!("{text}")) {
        Error::Config(error) => format!("{error}; {}", error.help_text().unwrap_or_default()),
        error => error.to_string(),
    };
    let model = |group: &str, rest: &str| config(group, rest, PROMPTS, SSG_OVER_CFG);
    let swapped = |from: &str, to: &str| model("base", "scales: [1, 2, 4]").replace(from, to);

    // A tokenizer with other bits, and a patch model without its tokenizer.
    let vae = fixture("patchify", "vae.safetensors");
    let other = swapped(
        &format!("tokenizer: {:?}", fixture("base", "vae.safetensors")),
        &format!("tokenizer: {vae:?}"),
    );
    let error = told(&other);
    assert!(
        error.contains("has 3 bits per latent") && error.contains("takes a tokenizer of 6 bits"),
        "{error}"
    );
    let patches = model("patchify", "scales: [1, 2]")
        .replace(&format!("{vae:?}"), &format!("{:?}", fixture("base", "vae.safetensors")));
    let error = told(&patches);
    assert!(
        error.contains("takes a tokenizer of 12 bits, or one of 3 bits whose latents it reads in patches"),
        "{error}"
    );

    let error = told(&model("base", "size: \"0.06M\", aspect: \"16:9\""));
    assert!(error.contains("`16:9` has no scales; the nearest ratio that has is 7:4"), "{error}");
    assert!(told(&model("base", "size: \"2M\"")).contains("size: 2M is none of 0.06M"));
    assert!(told(&model("base", "size: \"0.06M\", scales: [1, 2]")).contains("`scales` and `size`"));
    assert!(told(&swapped("text: (encoder", "text: (encodr")).contains("encodr"));

    // Another encoder's vocabulary; an encoder of another width; no encoder.
    let words: Vec<String> = (0..60).map(|i| format!("word{i}")).collect();
    fs::write(folder.join("other.json"), word_level(words).unwrap()).unwrap();
    let error = told(&swapped("tokenizer.json", "other.json"));
    assert!(error.contains("other.json is not the vocabulary of"), "{error}");
    let rows = PromptTokenizer::open(folder.join("tokenizer.json")).unwrap().len();
    encoder(rows, 64, &folder.join("narrow.safetensors"));
    let error = told(&swapped("t5.safetensors", "narrow.safetensors"));
    assert!(error.contains("rows of 64 channels") && error.contains("was made for 256"), "{error}");
    assert!(told(&swapped("t5.safetensors", "none.safetensors")).contains("none.safetensors"));

    // A shard that is not there, of either.
    let index = folder.join("model.safetensors.index.json");
    let shard = "model-00002-of-00002.safetensors";
    fs::write(&index, format!("{{\"weight_map\": {{\"cfg_uncond\": \"{shard}\"}}}}")).unwrap();
    let backbone = format!("backbone: {:?}", fixture("base", "infinity.safetensors"));
    for error in [
        told(&swapped(&backbone, &format!("backbone: {index:?}"))),
        told(&swapped("t5.safetensors", "model.safetensors.index.json")),
    ] {
        assert!(error.contains(&format!("lacks {shard}")), "{error}");
    }

    // Conditions.
    let asks = |condition: &str| config("base", "scales: [1, 2]", condition, "guidance: Conditional");
    let few = "Prompts(texts: [\"a ship\", \"a truck\"], negative: [\"blur\"])";
    assert!(told(&asks(few)).contains("1 negatives for 2 prompts; give one for each prompt"));
    assert!(told(&asks("Labels([1])")).contains("the model takes no classes"));
    fs::write(folder.join("latin.txt"), b"a ship\na gr\xfcn truck\n").unwrap();
    assert!(told(&asks("Prompts(file: \"latin.txt\")")).contains("latin.txt: line 2 is not UTF-8"));
    let long = "a ".repeat(40);
    let error = told(&asks(&format!("Prompts([\"a ship\", \"{long}\"])")));
    assert!(
        error.contains("prompt 2") && error.contains("41 tokens") && error.contains("at most 32"),
        "{error}"
    );
}

#[test]
fn an_empty_prompt_is_the_empty_text_and_no_null_condition() {
    let place = place();
    fs::write(place.path().join("prompts.txt"), "a red truck\n\na spaceship\n").unwrap();
    let asks = |condition: &str| config("base", "scales: [1, 2, 4]", condition, "guidance: Conditional");
    let prepared = prepare(place.path(), &asks("Prompts(file: \"prompts.txt\")")).unwrap();
    let [empty, unknown] = prepared.remarks() else { panic!("{:?}", prepared.remarks()) };
    assert!(empty.contains("prompt 2 is empty") && empty.contains("not the null condition"), "{empty}");
    assert!(unknown.contains("prompt 3") && unknown.contains("spaceship"), "{unknown}");
    let made = go(place.path(), &asks("Prompts([\"\"])"), "empty", None).unwrap();
    let null = go(place.path(), &asks("Null"), "null", None).unwrap();
    assert_ne!(made, null);
}

#[test]
fn one_prompt_of_many_that_is_too_long_is_named() {
    let place = place();
    let mut lines: Vec<String> = (0..10_000).map(|i| format!("a red truck {}", i % 7)).collect();
    lines[8_123] = "a ".repeat(600);
    fs::write(place.path().join("prompts.txt"), lines.join("\n")).unwrap();
    let text = config("base", "scales: [1, 2]", "Prompts(file: \"prompts.txt\")", "guidance: Conditional");
    // The reference model reads fewer tokens than encoders give.
    let error = prepare(place.path(), &text).err().unwrap().to_string();
    assert!(error.contains("prompt 8124") && error.contains("at most 32"), "{error}");

    let sizes = InfinityConfig {
        text_width: WIDTH,
        pool_heads: 2,
        ..InfinityConfig::new([2, 64, 4], 6, ScaleSchedule::square(&[1, 2]).unwrap())
    };
    let fresh = sizes.init(&Initialisation::default(), &Device::flex()).unwrap();
    let backbone = place.path().join("fresh.safetensors");
    fresh.save(&backbone, Precision::F32, false).unwrap();
    let text =
        text.replace(&format!("{:?}", fixture("base", "infinity.safetensors")), &format!("{backbone:?}"));
    let prepared = prepare(place.path(), &text).unwrap();
    let told: Vec<&String> =
        prepared.remarks().iter().filter(|remark| remark.contains("has 601 tokens")).collect();
    let [told] = told[..] else { panic!("{told:?}") };
    assert!(told.starts_with("prompt 8124 (\"a a a"), "{told}");
    assert_eq!(prepared.conditions.len(), 10_000);
}
