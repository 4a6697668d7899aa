//! What a run refuses, with which message, and that it leaves nothing behind.

mod common;

use std::fs;

use common::{config, go, path};
use nextscale_pipeline::{Error, RunOptions};

#[test]
fn mistakes_are_told_before_weights_are_read_and_leave_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mistakes = [
        config("Labels([1, 10])", "guidance: Conditional"),
        config("Names([\"ship\"])", "guidance: Conditional"),
        config("Null", "guidance: Ssg(prior: Dse(), beta: List([1, 2]))"),
        config("Null", "guidance: Conditional, sampling: TopKTopP(top_k: 65)"),
        config("Null", "guidance: Conditional, sampling: TopKTopP(temperature: 0)"),
        config("Null", "guidance: Conditional, sampling: TopK(3)"),
        config("Null", "guidance: Conditional, batch: 0"),
        config("Null", "guidance: Conditional, sed: 1"),
        config("Null", "seed: 2"),
        config("Null", "batch: 2"),
        config("Null", "guidance: Conditional, variants: [(\"a\", Conditional)]"),
        config("Null", "variants: [(\"a b\", Conditional), (\"a-b\", Conditional)]"),
        config("Null", "variants: []"),
        config(
            "Null",
            "guidance: Conditional, edit: Keep(image: \"a.png\", rows: (0.5, 0.2), columns: (0, 1))",
        ),
        config("Null", "guidance: Conditional, edit: Paint(image: \"a.png\", box: (0, 0, 16, 32))"),
        config("Null", "guidance: Conditional, edit: Paint(image: \"a.png\", boxes: [(0, 0, 16, 32)])"),
        config("Null", "guidance: Conditional, edit: Paint(image: \"a.png\", rows: (0, 1))"),
        config("Null", "guidance: Conditional, edit: Paint(rows: (0, 1), columns: (0, 1))"),
        config("Null", "guidance: Conditional, edit: Repaint(rows: (0, 1), columns: (0, 1))"),
        config("Null", "guidance: Conditional").replace("norm_groups: 4", "norm_groups: 3"),
        config("Null", "guidance: Conditional").replace("norm_groups: 4", "scales: [1, 2, 4]"),
        config("Null", "guidance: Conditional").replace("norm_groups: 4", "scales: [1, 3, 2, 4]"),
        "(model: Shipped(\"cifar11\"), condition: Null, guidance: Conditional)".into(),
        "(model: Hart(), condition: Null, guidance: Conditional)".into(),
    ];
    let told: Vec<String> = mistakes
        .iter()
        .map(|text| {
            let error = go(text, &RunOptions::new(root.path().join("out"))).unwrap_err();
            let Error::Config(told) = &error else { panic!("{text}: {error}") };
            let (_, _, column) = told.location().unwrap_or_else(|| panic!("{text}: no place for {error}"));
            let found: String = text.chars().skip(column - 1).take(24).collect();
            format!("{error}\n  at `{found}`\n  {}", told.help_text().unwrap_or("-"))
        })
        .collect();
    let told = told.join("\n").replace(&path("").display().to_string(), "");
    insta::assert_snapshot!(told);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn files_that_are_missing_or_of_another_model_are_named() {
    let root = tempfile::tempdir().unwrap();
    let text = config("Null", "guidance: Conditional");
    let swapped = text
        .replace("vae.safetensors", "x")
        .replace("var_aln.safetensors", "vae.safetensors")
        .replace("/x", "/var_aln.safetensors");
    let broken = root.path().join("broken.safetensors");
    let bytes = fs::read(path("var_aln.safetensors")).unwrap();
    fs::write(&broken, &bytes[..bytes.len() / 2]).unwrap();
    let truncated =
        text.replace(&path("var_aln.safetensors").display().to_string(), &broken.display().to_string());
    for (text, what) in [
        (text.replace("vae.safetensors", "none.pth"), "none.pth"),
        (swapped, "VAR transformer"),
        (truncated, "truncated or corrupt"),
    ] {
        let error = go(&text, &RunOptions::new(root.path().join("out"))).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
        assert!(matches!(error, Error::Weights(_)));
    }
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn another_config_or_a_late_trace_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("out");
    let text = config("Labels([1])", "guidance: Conditional");
    go(&text, &RunOptions::new(&out)).unwrap();
    let error = go(&text.replace("seed: 3", "seed: 4"), &RunOptions::new(&out)).unwrap_err().to_string();
    assert!(error.contains("another config"), "{error}");
    // The batch is not part of images' identity.
    let batch = text.replace("seed: 3", "seed: 3, batch: 5");
    assert_eq!(go(&batch, &RunOptions::new(&out)).unwrap().found, 1);
    let late = RunOptions { trace: Some(root.path().join("t.safetensors")), ..RunOptions::new(&out) };
    let error = go(&text, &late).unwrap_err().to_string();
    assert!(error.contains("a trace cannot be written afterwards"), "{error}");
}

#[test]
fn a_trace_of_something_else_or_without_a_folder_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let text = config("Labels([1])", "guidance: Conditional");
    let traced = |trace: &str| RunOptions {
        trace: Some(root.path().join(trace)),
        ..RunOptions::new(root.path().join("out"))
    };
    let error = go(&text, &traced("none/t.safetensors")).unwrap_err().to_string();
    assert!(error.contains("there is no folder"), "{error}");
    fs::write(root.path().join(".t.safetensors.unfinished"), b"something else").unwrap();
    let error = go(&text, &traced("t.safetensors")).unwrap_err().to_string();
    assert!(error.contains("unfinished trace of another run"), "{error}");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), b"x").unwrap();
    let text = config("Labels([1])", "guidance: Conditional");
    let error = go(&text, &RunOptions::new(root.path().join("file/out"))).unwrap_err();
    assert!(error.to_string().contains("cannot create") && !error.is_usage(), "{error}");
}
