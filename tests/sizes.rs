//! Large numbers in every integer of every kind of config and in every option that takes a size, under
//! limited memory and time: at worst an error, never a panic, an abort or a hang.
#![cfg(target_os = "linux")]

#[path = "cli/program.rs"]
#[allow(dead_code)] // every test file uses its own part
mod program;

use std::fmt::Write;
use std::ops::Range;
use std::process::Command;

use nextscale::config::Document;
use nextscale::families::infinity::training::tokenizer::TrainBitwise;
use nextscale::families::var::training::{TrainBackbone, TrainTokenizer};
use nextscale::train::config::TrainClassifier;
use program::{Place, Ran};
use serde::{Serialize, de::DeserializeOwned};

const LARGE: [&str; 4] = ["2147483648", "4294967296", "1000000000", "1000000000000000000"];
/// The limits of a process: its address space in KiB, and its time in seconds.
const ADDRESSES: u32 = 6_000_000;
const SECONDS: u32 = 120;

/// The places of a config's whole numbers.
fn integers(text: &str) -> Vec<Range<usize>> {
    let (bytes, mut at, mut found) = (text.as_bytes(), 0, Vec::new());
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'+');
    while at < bytes.len() {
        if bytes[at] == b'"' {
            at += 1 + text[at + 1..].find('"').unwrap() + 1;
        } else if text[at..].starts_with("//") {
            at += text[at..].find('\n').unwrap_or(text.len() - at);
        } else {
            let length = bytes[at..].iter().take_while(|byte| word(byte)).count();
            if length > 0 && bytes[at..at + length].iter().all(u8::is_ascii_digit) {
                found.push(at..at + length);
            }
            at += length.max(1);
        }
    }
    found
}

/// The number of whole numbers in a decoded config, defaults included.
fn leaves(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Number(number) => usize::from(number.is_u64()),
        serde_json::Value::Array(all) => all.iter().map(leaves).sum(),
        serde_json::Value::Object(all) => all.values().map(leaves).sum(),
        _ => 0,
    }
}

/// Runs a command within the limits.
fn limited(place: &Place, arguments: &[&str]) -> Ran {
    let program = place.command(arguments);
    let mut command = Command::new("sh");
    let script = format!("ulimit -v {ADDRESSES}; exec timeout -s KILL {SECONDS} \"$0\" \"$@\"");
    command.args(["-c", &script]).arg(program.get_program()).args(program.get_args());
    command.current_dir(place.path("")).env("NO_COLOR", "1");
    place.ran(command.output().unwrap())
}

/// What is wrong with how a command ended, if anything.
fn fault(ran: &Ran) -> Option<&'static str> {
    match ran.code {
        None => Some("ended by a signal"),
        Some(137) => Some("took too long"),
        Some(134 | 139) => Some("aborted"),
        Some(101) => Some("panicked"),
        Some(_) if ran.err.contains("panicked") => Some("panicked"),
        // Errors in the input have other codes; the run itself must not be the first to find a number too
        // large.
        Some(1) => Some("failed in the run"),
        Some(_) => None,
    }
}

/// Replaces each number of the config `text` in turn; `arguments` name it `run.ron`, and write to `out`.
fn torment(place: &Place, text: &str, arguments: &[&str]) {
    std::fs::write(place.path("run.ron"), text).unwrap();
    std::fs::remove_dir_all(place.path("out")).ok();
    std::fs::remove_file(place.path("out.safetensors")).ok();
    let sound = limited(place, arguments);
    assert!(matches!(sound.code, Some(0 | 130)), "{sound:?}");
    let mut faults = String::new();
    for at in integers(text) {
        for large in LARGE {
            std::fs::remove_dir_all(place.path("out")).ok();
            std::fs::remove_file(place.path("out.safetensors")).ok();
            let mut changed = text.to_owned();
            changed.replace_range(at.clone(), large);
            std::fs::write(place.path("run.ron"), &changed).unwrap();
            let ran = limited(place, arguments);
            if let Some(fault) = fault(&ran) {
                let line = text[..at.start].lines().count();
                let before = &text[at.start.saturating_sub(40)..at.start];
                let _ = writeln!(faults, "line {line}, …{before}{large}: {fault}: {}", ran.err);
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

fn pictures(place: &Place) {
    for i in 0..6_u32 {
        for split in ["train", "test"] {
            let path = place.path(&format!("set/{split}/{}/{i}.png", ["a", "b"][i as usize % 2]));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let byte = |x: u32, y: u32| (x * 7 + y * 13 + i * 50) as u8;
            let picture = image::RgbImage::from_fn(64, 64, |x, y| image::Rgb([byte(x, y), byte(y, x), 9]));
            picture.save(path).unwrap();
        }
    }
}

/// A training whose config must spell out every whole number.
fn train<C: DeserializeOwned + Serialize>(place: &Place, what: &str, text: &str) {
    let config: C = Document::parse("run.ron", text).unwrap().decode().unwrap();
    let all = leaves(&serde_json::to_value(config).unwrap());
    assert_eq!(integers(text).len(), all, "a whole number of the config is not written out");
    torment(place, text, &["train", what, "run.ron", "--out", "out", "--minutes", "0"]);
}

const TRAINING: &str = "training: (learning_rate: 1e-3, schedule: (warmup: 1, warmup_from: 0.005, shape: Cosine(end: 0.0)), \
     micro_batches: 2, log_every: 1, sample_every: 2)";

fn tokenizer() -> String {
    format!(
        "(data: Folder(root: \"set\", size: 4), seed: 0, steps: 3, batch: 2, model: (channels: 8, multipliers: [1, 2], \
         encoder_blocks: [1, 1], decoder_blocks: [1, 1], attention: [false, false], mid_attention: true, latent_channels: 4, \
         vocabulary: 8, phi: Nearest(2), phi_ratio: 0.5, norm_groups: 4), scales: [1, 2], \
         adversarial: Some((weight: 0.1, from_step: 1, channels: 8)), unquantised_steps: 1, restart_every: 2, {TRAINING})"
    )
}

#[test]
fn a_classifiers_training_believes_no_number() {
    let text = format!(
        "(data: Folder(root: \"set\", size: 8), seed: 0, steps: 3, batch: 2, channels: 8, stages: 2, {TRAINING})"
    );
    let place = Place::new();
    pictures(&place);
    train::<TrainClassifier>(&place, "classifier", &text);
}

#[test]
fn a_tokenizers_training_believes_no_number() {
    let place = Place::new();
    pictures(&place);
    train::<TrainTokenizer>(&place, "tokenizer", &tokenizer());
}

#[test]
fn a_bitwise_tokenizers_training_believes_no_number() {
    let text = format!(
        "(data: Folder(root: \"set\", size: 4), seed: 0, steps: 3, batch: 2, model: Bitwise(channels: 8, multipliers: [1, 2], \
         encoder_blocks: [1, 1], decoder_blocks: [1, 1], bits: 4, norm_groups: Some(4)), scales: [1, 2], \
         adversarial: Some((weight: 0.1, from_step: 1, channels: 8)), {TRAINING})"
    );
    let config: TrainBitwise =
        Document::parse("run.ron", &text.replace("Bitwise", "")).unwrap().decode().unwrap();
    assert_eq!(integers(&text).len(), leaves(&serde_json::to_value(config).unwrap()));
    let place = Place::new();
    pictures(&place);
    torment(&place, &text, &["train", "tokenizer", "run.ron", "--out", "out", "--minutes", "0"]);
}

#[test]
fn a_backbones_training_believes_no_number() {
    let place = Place::new();
    pictures(&place);
    std::fs::write(place.path("run.ron"), tokenizer().replace("steps: 3", "steps: 1")).unwrap();
    let ran = place.run(&["train", "tokenizer", "run.ron", "--out", "tokenizer"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = format!(
        "(data: Folder(root: \"set\", size: 4), tokenizer: \"tokenizer/tokenizer.safetensors\", seed: 0, steps: 3, batch: 2, \
         shift: 1, model: (depth: 1, width: 8, heads: 2, hidden: Some(8), ada_ln: Shared, attention: L2), {TRAINING})"
    );
    train::<TrainBackbone>(&place, "backbone", &text);
}

/// A run's config with every default spelled out.
fn resolved(place: &Place, rest: &str) -> String {
    place.config("run.ron", rest);
    std::fs::remove_dir_all(place.path("out")).ok();
    let ran = place.run(&["generate", "run.ron", "--out", "out"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = std::fs::read_to_string(place.path("out/config.ron")).unwrap();
    std::fs::remove_dir_all(place.path("out")).unwrap();
    text
}

#[test]
fn a_runs_config_believes_no_number() {
    let place = Place::new();
    pictures(&place);
    let rules = [
        "(\"inside\", CfgInside(layers: [1], weight: 3.0))",
        "(\"during\", Cfg(scale: During(1, 2, 3.0)))",
        "(\"gated\", Gated(rule: Cfg(scale: 3.0), by: Entropy(above: 0.5)))",
        "(\"ssg over apg\", Ssg(base: Apg(scale: 3.0), prior: Dse(), beta: 0.5))",
    ];
    let rest = format!("condition: Labels([1, 0]), variants: [{}], batch: 2", rules.join(", "));
    torment(&place, &resolved(&place, &rest), &["generate", "run.ron", "--out", "out"]);
    for rest in [
        "condition: PerClass(1), guidance: Conditional",
        "condition: Null(2), guidance: Conditional",
        "condition: Labels([1]), guidance: Conditional, \
         edit: Keep(image: \"set/test/a/0.png\", rows: (0, 1), columns: (0, 1))",
    ] {
        let text = resolved(&place, rest);
        torment(&place, &text, &["generate", "run.ron", "--out", "out"]);
        if !rest.contains("edit") {
            torment(&place, &text, &["calibrate", "run.ron", "--out", "out.safetensors"]);
        }
    }
}

#[test]
fn an_ablations_config_believes_no_number() {
    let place = Place::new();
    pictures(&place);
    let base = resolved(&place, "condition: PerClass(1), guidance: Cfg(scale: 1.5), batch: 2");
    let base = base.replace("    seed: 0,\n", "").replace("    npz: false,\n", "");
    let text = format!(
        "(base: {base}, variants: [(name: \"none\"), (name: \"cfg\", set: {{\"guidance\": Cfg(scale: 2.5)}})], \
         baseline: \"none\", seeds: [1], samples: 2, measures: [Pixels], traces: 2)"
    );
    torment(&place, &text, &["ablate", "run.ron", "--out", "out"]);
}

#[test]
fn a_card_believes_no_number() {
    let place = Place::new();
    let run = resolved(&place, "condition: PerClass(1), guidance: Cfg(scale: 1.5), batch: 2");
    let run = run.replace("    seed: 0,\n", "").replace("    npz: false,\n", "");
    let text = format!(
        "(name: \"a\", source: \"b\", weights: Sizes(\"depth 2\"), run: {run}, seed: 0, measures: [Pixels], \
         expect: [(measure: \"pixel mean\", images: 20, value: 127.5, tolerance: 1e9)])"
    );
    torment(&place, &text, &["validate", "run.ron", "--out", "out"]);
}

/// Options that take a size, in commands that are valid without them.
#[test]
fn options_believe_no_number() {
    let place = Place::new();
    pictures(&place);
    place.config("run.ron", "condition: Labels([1]), guidance: Conditional");
    let (generated, fitted) = ("drawn", "probe.safetensors");
    let ran = place.run(&["generate", "run.ron", "--out", generated]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let bench = ["bench", "run.ron", "--runs", "1", "--warmup", "0"];
    // `--images`, `--runs` and `--warmup` of `bench` request work, however long it takes.
    let commands: [(&[&str], &[&str]); 6] = [
        (&bench, &["--batch"]),
        (
            &["bench", "--random", "1", "--scales", "1,2", "--runs", "1"],
            &["--vocabulary", "--random", "--scales"],
        ),
        (&["evaluate", "set/test"], &["--size", "--keep", "--splits", "--seed"]),
        (
            &["neighbours", "set/test", "--data", "set/train", "--out", "out/a.png"],
            &["--count", "--images", "--size"],
        ),
        (&["reconstruct", "run.ron", "set/test", "--out", "out/a.npz"], &["--size", "--batch"]),
        (&["probe", "fit", "Folder(root: \"set\", size: 8)", "--out", fitted], &["--per-class", "--size"]),
    ];
    let mut faults = String::new();
    for (command, options) in commands {
        for option in options {
            for large in LARGE {
                std::fs::remove_dir_all(place.path("out")).ok();
                let ran = limited(&place, &[command, &[option, large]].concat());
                if let Some(fault) = fault(&ran) {
                    let _ = writeln!(faults, "{command:?} {option} {large}: {fault}: {}", ran.err);
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
}
