//! Every command that writes, killed before each of its writes to the disk in turn and then repeated: it ends
//! as if it had not been killed, and leaves nothing else behind.
//!
//! NEXTSCALE_KILLS=100 kills each command that often; by default a few times, spread over its writes. With
//! `-- --show-output` each command's number of kills and of writes is printed.
#![cfg(target_os = "linux")]

#[path = "cli/program.rs"]
#[allow(dead_code)] // every test file uses its own part
mod program;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use program::Place;

/// The library that counts, compiled once; `None` without a C compiler.
fn counter() -> Option<&'static Path> {
    static COUNTER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let counter = COUNTER.get_or_init(|| {
        let library = std::env::temp_dir().join(format!("nextscale-counter-{}.so", std::process::id()));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kills/counter.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).args([source, "-ldl"]);
        compiler.status().is_ok_and(|status| status.success()).then_some(library)
    });
    counter.as_deref()
}

/// Every file below the folder with its bytes.
fn state(place: &Place) -> BTreeMap<String, Vec<u8>> {
    let read = |name: String| {
        let bytes = std::fs::read(place.path(&name)).unwrap();
        (name, bytes)
    };
    place.files().into_iter().map(read).collect()
}

/// What naturally differs between runs: times, and the times in logs.
fn is_timed(name: &str) -> bool {
    name.ends_with("log.csv") || name.ends_with("runs.jsonl")
}

/// `again` is the command that completes what a killed one began; `None` for commands that write what is new
/// in one step, and refuse what exists: the same again, unless all is there.
fn killed(prepare: &dyn Fn(&Place), arguments: &[&str], again: Option<&[&str]>) {
    let Some(counter) = counter() else { return };
    let run = |place: &Place, arguments: &[&str], at: Option<u64>, count: Option<&Path>| {
        let mut command = place.command(arguments);
        command.env("LD_PRELOAD", counter);
        at.map(|at| command.env("NEXTSCALE_KILL_AT", at.to_string()));
        count.map(|count| command.env("NEXTSCALE_KILL_COUNT", count));
        place.ran(command.output().unwrap())
    };
    let straight = Place::new();
    prepare(&straight);
    let elsewhere = tempfile::tempdir().unwrap();
    let told = elsewhere.path().join("count");
    let ran = run(&straight, arguments, None, Some(&told));
    assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
    let writes: u64 = std::fs::read_to_string(&told).unwrap().parse().unwrap();
    assert!(writes > 0, "{arguments:?} writes nothing");
    let expected = state(&straight);
    let kills = std::env::var("NEXTSCALE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(5_u64);
    let kills = kills.min(writes);
    println!("{}: {kills} kills over {writes} writes", arguments.join(" "));
    for kill in 0..kills {
        // Most can be lost in the last writes.
        let at = writes - kill * writes / kills;
        let place = Place::new();
        prepare(&place);
        let first = run(&place, arguments, Some(at), None);
        assert_ne!(first.code, Some(0), "{arguments:?} was not killed at {at} of {writes}");
        if again.is_some() || state(&place) != expected {
            let ran = run(&place, again.unwrap_or(arguments), None, None);
            assert_eq!(ran.code, Some(0), "{arguments:?}, killed at {at} of {writes}: {ran:?}");
        }
        let found = state(&place);
        let names = |state: &BTreeMap<String, Vec<u8>>| state.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "{arguments:?}, killed at {at} of {writes}");
        for (name, bytes) in &expected {
            // Configs and their results name the folder.
            let here = |place: &Place, bytes: &[u8]| {
                String::from_utf8_lossy(bytes)
                    .replace(place.path("").to_string_lossy().trim_end_matches('/'), "HERE")
            };
            let same = is_timed(name) || here(&place, &found[name]) == here(&straight, bytes);
            assert!(same, "{arguments:?}, killed at {at} of {writes}: {name} differs");
        }
    }
}

fn twice(prepare: &dyn Fn(&Place), arguments: &[&str]) {
    killed(prepare, arguments, Some(arguments));
}

fn new(prepare: &dyn Fn(&Place), arguments: &[&str]) {
    killed(prepare, arguments, None);
}

fn pictures(place: &Place) {
    for i in 0..6_u32 {
        for split in ["train", "test"] {
            let path = place.path(&format!("set/{split}/{}/{i}.png", ["a", "b"][i as usize % 2]));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let byte = |x: u32, y: u32| (x * 7 + y * 13 + i * 50) as u8;
            image::RgbImage::from_fn(8, 8, |x, y| image::Rgb([byte(x, y), byte(y, x), 9]))
                .save(path)
                .unwrap();
        }
    }
}

fn config(place: &Place) {
    place.config(
        "run.ron",
        "condition: Labels([3, 1, 4]), variants: [(\"none\", Conditional), (\"cfg\", Cfg(scale: 1.5))], batch: 2, npz: true",
    );
    place.config("one.ron", "condition: Labels([3, 1, 4]), guidance: Conditional, batch: 2");
}

#[test]
fn a_run_with_traces_loses_nothing() {
    twice(&config, &["generate", "run.ron", "--out", "out", "--trace", "trace.safetensors"]);
}

#[test]
fn a_calibration_loses_nothing() {
    twice(&config, &["calibrate", "one.ron", "--out", "averages.safetensors"]);
}

fn ablation(place: &Place) {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/var");
    let text = format!(
        "(base: (model: Var(tokenizer: \"{fixtures}/vae.safetensors\", backbone: \"{fixtures}/var_aln.safetensors\", \
         norm_groups: 4), condition: PerClass(1), guidance: Conditional, batch: 2), \
         variants: [(name: \"none\"), (name: \"cfg\", set: {{\"guidance\": Cfg(scale: 1.5)}})], baseline: \"none\", \
         seeds: [1], samples: 3, measures: [Pixels], timing: 0)"
    );
    std::fs::write(place.path("a.ron"), text).unwrap();
}

#[test]
fn an_ablation_loses_nothing() {
    twice(&ablation, &["ablate", "a.ron", "--out", "out"]);
}

#[test]
fn what_is_made_of_a_finished_ablation_loses_nothing() {
    let finished = Place::new();
    ablation(&finished);
    let ran = finished.run(&["ablate", "a.ron", "--out", "out"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let prepare = |place: &Place| {
        for name in finished.files() {
            let path = place.path(&name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::copy(finished.path(&name), path).unwrap();
        }
    };
    twice(&prepare, &["report", "out"]);
    new(&prepare, &["export", "out", "--out", "files", "--npz"]);
    twice(&prepare, &["neighbours", "out/cfg", "--data", "out/none", "--out", "sheet.png"]);
    let with_log =
        |place: &Place| std::fs::write(place.path("log.csv"), "step,loss\n25,6.8\n50,6.1\n").unwrap();
    twice(&with_log, &["curves", "log.csv", "--out", "log.svg"]);
}

#[test]
fn files_to_start_from_lose_nothing() {
    let empty = |_: &Place| ();
    new(&empty, &["init", "run.ron"]);
    new(&empty, &["init", "--crate", "mine"]);
    twice(&empty, &["man", "--out", "pages"]);
}

#[test]
fn measures_and_reconstructions_lose_nothing() {
    twice(&pictures, &["evaluate", "set/test", "--save-statistics", "stats.safetensors"]);
    twice(&pictures, &["probe", "fit", "Folder(root: \"set\", size: 8)", "--out", "probe.safetensors"]);
    let prepare = |place: &Place| {
        config(place);
        pictures(place);
    };
    twice(&prepare, &["reconstruct", "one.ron", "set/test", "--size", "64", "--out", "rec.npz"]);
}

/// The same training again goes on from its checkpoint.
fn training(prepare: &dyn Fn(&Place), arguments: &[&str]) {
    killed(prepare, arguments, Some(&[arguments, &["--resume"]].concat()));
}

#[test]
fn a_training_loses_nothing() {
    let prepare = |place: &Place| {
        pictures(place);
        let text = "(data: Folder(root: \"set\", size: 8), steps: 3, batch: 2, channels: 8, stages: 2, \
                    training: (sample_every: 2, log_every: 1))";
        std::fs::write(place.path("classifier.ron"), text).unwrap();
    };
    training(&prepare, &["train", "classifier", "classifier.ron", "--out", "out"]);
}

#[test]
fn trainings_of_a_tokenizer_and_a_backbone_lose_nothing() {
    let prepare = |place: &Place| {
        pictures(place);
        let tokenizer = "(data: Folder(root: \"set\", size: 8), steps: 3, batch: 2, scales: [1, 2, 4], \
                         model: (channels: 8, multipliers: [1, 2], encoder_blocks: [0, 1], decoder_blocks: [0, 1], attention: [false, false], \
                         mid_attention: false, latent_channels: 4, vocabulary: 16, phi: Nearest(2), phi_ratio: 0.5, norm_groups: 4), \
                         training: (sample_every: 2, log_every: 1))";
        std::fs::write(place.path("tokenizer.ron"), tokenizer).unwrap();
        let backbone = "(data: Folder(root: \"set\", size: 8), tokenizer: \"first/tokenizer.safetensors\", steps: 3, batch: 2, \
                        model: (depth: 1, width: 8, heads: 2), training: (sample_every: 2, log_every: 1))";
        std::fs::write(place.path("backbone.ron"), backbone).unwrap();
    };
    training(&prepare, &["train", "tokenizer", "tokenizer.ron", "--out", "out"]);
    let trained = Place::new();
    prepare(&trained);
    let ran = trained.run(&["train", "tokenizer", "tokenizer.ron", "--out", "first"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let with_tokenizer = |place: &Place| {
        prepare(place);
        std::fs::create_dir(place.path("first")).unwrap();
        let name = "first/tokenizer.safetensors";
        std::fs::copy(trained.path(name), place.path(name)).unwrap();
    };
    training(&with_tokenizer, &["train", "backbone", "backbone.ron", "--out", "out"]);
}
