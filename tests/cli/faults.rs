use super::program::Place;

const RULE: &str = "condition: Labels([1]), guidance: Cfg(scale: 1.5)";

#[test]
fn a_wrong_config_is_answered_with_the_place_and_the_remedy_and_leaves_nothing() {
    let mistakes = [
        ("an unknown rule", "condition: Labels([1]), guidance: Cgf(scale: 1.5)"),
        ("an unknown field", "condition: Labels([1]), guidance: Cfg(scael: 1.5)"),
        ("a wrong type", "condition: Labels([1]), guidance: Cfg(scale: \"strong\")"),
        ("a label out of range", "condition: Labels([1, 10]), guidance: Conditional"),
        ("names without names", "condition: Names([\"ship\"]), guidance: Conditional"),
        ("a list of another length", "condition: Labels([1]), guidance: Cfg(scale: List([1, 2]))"),
        ("too large a top_k", "condition: Labels([1]), guidance: Conditional, sampling: TopKTopP(top_k: 65)"),
        ("no RON", "condition: Labels([1], guidance: Conditional"),
    ];
    let mut told = String::new();
    for (what, rest) in mistakes {
        let place = Place::new();
        place.config("run.ron", rest);
        let ran = place.run(&["generate", "run.ron"]);
        assert_eq!(ran.code, Some(2), "{what}: {ran:?}");
        assert_eq!(place.files(), ["run.ron"], "{what}");
        assert_eq!(ran.out, "", "{what}");
        // The model's line is long and contains a path; only the message matters here.
        let lines = ran.err.lines().filter(|line| !line.contains("model: Var"));
        told += &format!("{what}\n{}\n\n", lines.collect::<Vec<_>>().join("\n"));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_wrong_command_line_is_usage() {
    let place = Place::new();
    place.config("run.ron", RULE);
    let mistakes: [&[&str]; 8] = [
        &["generate", "none.ron"],
        &["generate", "run.ron", "--dtype", "f64"],
        &["generate", "run.ron", "--device", "gpu"],
        &["generate", "run.ron", "--device", "cuda:7"],
        &["generate", "run.ron", "--set", "guidance.beta=1"],
        &["generate", "run.ron", "--set", "guidance.scale"],
        &["generat"],
        &["train", "tokenizer", "none.ron"],
    ];
    let told = place.usage_errors(&mistakes);
    assert_eq!(place.files(), ["run.ron"]);
    insta::assert_snapshot!(told);
}

#[test]
fn a_checkpoint_that_cannot_be_used_ends_the_run_before_it_begins() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/var");
    let whole = std::fs::read(format!("{fixtures}/var_aln.safetensors")).unwrap();
    let place = Place::new();
    std::fs::write(place.path("cut.safetensors"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(place.path("noise.pth"), vec![7; 4096]).unwrap();
    let backbones = [
        "cut.safetensors".to_owned(),
        "noise.pth".into(),
        "none.pth".into(),
        format!("{fixtures}/vae.pth"),
        format!("{fixtures}/sampling.safetensors"),
    ];
    for backbone in backbones {
        let text = format!(
            "(model: Var(tokenizer: \"{fixtures}/vae.pth\", backbone: \"{backbone}\", norm_groups: 4), {RULE})"
        );
        std::fs::write(place.path("run.ron"), text).unwrap();
        let ran = place.run(&["generate", "run.ron"]);
        let code = if backbone == "none.pth" { 2 } else { 1 };
        assert_eq!(ran.code, Some(code), "{backbone}: {ran:?}");
        let name = backbone.rsplit('/').next().unwrap();
        assert!(ran.err.replace("\n  │ ", "").contains(name), "{backbone}: {}", ran.err);
        assert_eq!(place.files(), ["cut.safetensors", "noise.pth", "run.ron"], "{backbone}");
    }
}

#[test]
fn scales_that_shrink_are_refused() {
    let place = Place::new();
    place.config("run.ron", RULE);
    let ran = place.run(&["generate", "run.ron", "--set", "model.scales=[1, 3, 2]"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("scale 2 is 2×2"), "{}", ran.err);
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let place = Place::new();
    place.config("run.ron", RULE);
    std::fs::write(place.path("file"), "x").unwrap();
    let ran = place.run(&["generate", "run.ron", "--out", "file/out"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("file/out cannot be written: file is a file"), "{}", ran.err);
    assert_eq!(place.files(), ["file", "run.ron"]);
}
