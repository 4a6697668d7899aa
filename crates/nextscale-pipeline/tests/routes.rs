//! The CPU's routes: on the route `fma` whole generations have the same bytes with AVX2's vectors and with those of
//! AVX-512, and no run continues one that was begun on another route.

#![cfg(target_arch = "x86_64")]

#[path = "common/hart.rs"]
mod hart;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use burn::tensor::Device;
use nextscale_pipeline::{Config, Registry, RunOptions, Worker, merge, run, run_shard};
use nextscale_shards::Shard;
use nextscale_text::{PromptTokenizer, T5Config, word_level};
use nextscale_tokenizers::vq::VqvaeConfig;
use nextscale_weights::Precision;

/// The folder of a run, in the process that makes it.
const FOLDER: &str = "NEXTSCALE_TEST_FOLDER";
/// Where in it the run goes.
const OUT: &str = "NEXTSCALE_TEST_OUT";
/// Makes only this shard, if it is set.
const SHARD: &str = "NEXTSCALE_TEST_SHARD";

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures")).join(name)
}

/// The other process: a process has one route.
#[test]
fn makes_what_the_other_tests_ask_for() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (folder, out) = (PathBuf::from(folder), std::env::var(OUT).unwrap());
    let prepared = Config::read(&folder.join("run.ron"), &Registry::standard()).unwrap().prepare().unwrap();
    let options = RunOptions {
        trace: Some(folder.join(format!("{out}.safetensors"))),
        ..RunOptions::new(folder.join(out))
    };
    let done = match std::env::var(SHARD) {
        Ok(index) => {
            let worker =
                Worker { shard: Shard::new(index.parse().unwrap(), 2).unwrap(), from: "a test".into() };
            run_shard(&prepared, &options, &worker)
        }
        Err(_) => run(&prepared, &options),
    };
    // Said and not panicked: the other process reads it.
    println!("\nsaid: {}", done.map_or_else(|error| error.to_string(), |_| "done".into()));
}

fn made(folder: &Path, out: &str, route: &str, shard: Option<&str>) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", "makes_what_the_other_tests_ask_for"]);
    command.env(FOLDER, folder).env(OUT, out).env("NEXTSCALE_ROUTE", route);
    if let Some(shard) = shard {
        command.env(SHARD, shard);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{route}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("said: ")).unwrap().to_owned()
}

/// Every file of a run and its traces, by their names.
fn files(folder: &Path, out: &str) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            match name.strip_prefix(out).filter(|rest| rest.is_empty() || rest.starts_with(['/', '.'])) {
                Some(_) if path.is_dir() => folders.push(path),
                Some(rest) => drop(found.insert(rest.to_owned(), fs::read(&path).unwrap())),
                None => {}
            }
        }
    }
    found
}

fn has_fma() -> bool {
    let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    if !has {
        nextscale_kernels::skip_test("fma");
    } else if !is_x86_feature_detected!("avx512f") {
        // AVX2 is only compared with itself.
        nextscale_kernels::skip_test("avx512");
    }
    has
}

/// Runs the config on both kinds of vectors. Returns the files of one run.
fn assert_same(folder: &Path, config: &str) -> BTreeMap<String, Vec<u8>> {
    fs::write(folder.join("run.ron"), config).unwrap();
    for (out, route) in [("short", "fma-avx2"), ("long", "fma")] {
        assert_eq!(made(folder, out, route, None), "done", "{config}");
    }
    let (short, long) = (files(folder, "short"), files(folder, "long"));
    assert_eq!(short.keys().collect::<Vec<_>>(), long.keys().collect::<Vec<_>>());
    // Traces have tokens, logits, canvases and pixels.
    assert!(short.keys().any(|name| name.ends_with(".safetensors")), "{:?}", short.keys());
    for (name, bytes) in &short {
        assert!(long[name] == *bytes, "{name} differs");
    }
    short
}

#[test]
fn every_rule_has_the_same_bytes_with_short_and_long_vectors() {
    if !has_fma() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let rules = fs::read_to_string(fixture("../../configs/guidance-rules.ron")).unwrap();
    let config = rules.replace("condition: PerClass(1)", "condition: Labels([3, 8])");
    assert_ne!(config, rules);
    let made = assert_same(folder.path(), &config);
    let manifest = String::from_utf8(made["/manifest.json"].clone()).unwrap();
    assert!(manifest.contains("\"device\": \"cpu, fma\""), "{manifest}");
}

#[test]
fn an_edit_has_the_same_bytes_with_short_and_long_vectors() {
    if !has_fma() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let picture =
        image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([x as u8 * 8, y as u8 * 7, (x * y / 4) as u8]));
    picture.save(folder.path().join("given.png")).unwrap();
    let config = "(model: Shipped(\"cifar10\"), condition: Labels([3, 8]), guidance: Cfg(scale: Ramp(3.0)),
        sampling: TopKTopP(top_k: 900, more_smooth: true),
        edit: Paint(image: \"given.png\", rows: (0.25, 0.75), columns: (0.0, 0.5), tokens: Requantised))";
    assert_same(folder.path(), config);
}

#[test]
fn texts_and_bits_have_the_same_bytes_with_short_and_long_vectors() {
    if !has_fma() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let vocabulary = word_level(["a red truck", "a blue ship", "blur"]).unwrap();
    fs::write(folder.path().join("tokenizer.json"), &vocabulary).unwrap();
    let rows = PromptTokenizer::from_bytes(vocabulary.as_bytes(), "words").unwrap().len();
    let encoder = T5Config { head_width: 8, ..T5Config::new(rows, 256, 1, 2, 32) };
    let encoder = encoder.init(4, &Device::flex()).unwrap();
    encoder.save(folder.path().join("t5.safetensors"), Precision::F32).unwrap();
    let [vae, backbone] =
        ["vae", "infinity"].map(|name| fixture(&format!("infinity/base/{name}.safetensors")));
    let config = format!(
        "(model: Infinity(tokenizer: {vae:?}, backbone: {backbone:?}, scales: [1, 2, 4, 6, 8],
            text: (encoder: \"t5.safetensors\", tokenizer: \"tokenizer.json\")),
         condition: Prompts(texts: [\"a red truck\", \"a blue ship\"], negative: \"blur\"),
         guidance: Ssg(base: Cfg(scale: 2.0), prior: Dse(), beta: 0.5))"
    );
    assert_same(folder.path(), &config);
}

#[test]
fn hybrid_tokens_have_the_same_bytes_with_short_and_long_vectors() {
    if !has_fma() {
        return;
    }
    let layout = VqvaeConfig { latent_channels: 4, vocabulary: 24, ..VqvaeConfig::new(32, &[1, 1]) };
    let folder = hart::place(&layout, false);
    let text = fixture("text/qwen2");
    let config = format!(
        "(model: Hart(folder: \"hart\", text: (encoder: {text:?})),
         condition: Prompts(texts: [\"a red truck\", \"one small ship\"], negative: \"blur\"),
         guidance: Ssg(base: Cfg(scale: 2.0), prior: Dse(), beta: 0.5))"
    );
    assert_same(folder.path(), &config);
}

#[test]
fn runs_and_shards_of_two_routes_do_not_mix() {
    if !has_fma() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = "(model: Shipped(\"cifar10\"), condition: Labels([3, 8]), guidance: Cfg(scale: 3.0))";
    fs::write(folder.join("run.ron"), config).unwrap();
    assert_eq!(made(folder, "out", "fma", None), "done");
    assert_eq!(made(folder, "out", "fma-avx2", None), "done");
    let told = made(folder, "out", "portable", None);
    assert!(
        told.contains(
            "out was made on cpu, fma, and this process computes on cpu, portable; set NEXTSCALE_ROUTE=fma"
        ),
        "{told}"
    );
    assert_eq!(made(folder, "shards", "fma", Some("0")), "done");
    let told = made(folder, "shards", "portable", Some("1"));
    assert!(
        told.contains("another arithmetic: fma there, portable here")
            && told.contains("every shard with the same NEXTSCALE_ROUTE"),
        "{told}"
    );
    assert_eq!(made(folder, "shards", "fma-avx2", Some("1")), "done");
    merge(&folder.join("shards")).unwrap();
    let (out, merged) = (files(folder, "out"), files(folder, "shards"));
    assert_eq!(out.keys().collect::<Vec<_>>(), merged.keys().collect::<Vec<_>>());
    assert!(out.iter().all(|(name, bytes)| merged[name] == *bytes));
}
