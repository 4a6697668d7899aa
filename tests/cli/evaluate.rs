use super::program::Place;

/// A run of two rules, a few images each, with npz files.
fn place() -> Place {
    let place = Place::new();
    place.config(
        "run.ron",
        "condition: PerClass(2), variants: [(\"none\", Conditional), (\"cfg\", Cfg(scale: 2.0))], npz: true,
        sampling: TopKTopP(top_k: 20)",
    );
    let ran = place.run(&["generate", "run.ron"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    place
}

/// A table without its values, hashes and network, which have their own tests.
fn shape(text: &str) -> String {
    let word = |word: &str| {
        let word = word.trim_end_matches(',');
        let hash = word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit());
        let number = word.contains('.') && word.parse::<f64>().is_ok();
        if hash || number || word.contains("e-") && word.parse::<f64>().is_ok() {
            "#".into()
        } else {
            word.to_owned()
        }
    };
    let line = |line: &str| match line.strip_prefix("features") {
        Some(_) => "features #".into(),
        None => line.split_whitespace().map(word).collect::<Vec<_>>().join(" "),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_run_is_measured_against_another_as_folder_array_or_statistics() {
    let place = place();
    let first = place.run(&[
        "evaluate",
        "run/cfg",
        "--reference",
        "run/none",
        "--rec",
        "run/none.npz",
        "--json",
        "a.json",
    ]);
    assert_eq!(first.code, Some(0), "{first:?}");
    insta::assert_snapshot!(shape(&first.out));
    let saved = place.run(&["evaluate", "run/none", "--save-statistics", "none.safetensors"]);
    assert_eq!((saved.code, saved.out.as_str()), (Some(0), ""), "{saved:?}");
    let measures = |json: &str| {
        let text = std::fs::read_to_string(place.path(json)).unwrap();
        text[text.find("\"measures\"").unwrap()..].to_owned()
    };
    for (samples, reference) in [("run/cfg.npz", "none.safetensors"), ("run/cfg.npz", "run/none.npz")] {
        let again =
            ["evaluate", samples, "--reference", reference, "--rec", "none.safetensors", "--json", "b.json"];
        let ran = place.run(&again);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(measures("b.json"), measures("a.json"), "{samples} {reference}");
    }
    let kept = ["evaluate", "run/cfg", "--reference", "none.safetensors", "--keep", "10", "--seed", "1"];
    let ran = place.run(&kept);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("use 10 of the 20 samples"), "{}", ran.out);
}

#[test]
fn one_image_gives_no_measure_and_is_told_so() {
    let place = place();
    std::fs::create_dir(place.path("one")).unwrap();
    let picture = std::fs::read_dir(place.path("run/none"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "png"))
        .unwrap();
    std::fs::copy(picture, place.path("one/0.png")).unwrap();
    std::fs::write(place.path("one/notes.txt"), "x").unwrap();
    let ran = place.run(&["evaluate", "one", "--reference", "run/none", "--json", "one.json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.out.contains("warning: no FD-Lite0: a covariance needs at least 2 images; there are 1"),
        "{ran:?}"
    );
    assert!(ran.out.contains("1 other was left out: 1 txt"), "{ran:?}");
    assert!(
        ran.err.contains("no measure could be taken: no FD-Lite0: a covariance needs")
            && !ran.err.contains("rank-deficient"),
        "{ran:?}"
    );
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(place.path("one.json")).unwrap()).unwrap();
    assert!(json["measures"].as_array().unwrap().is_empty(), "{json}");
    assert!(json["missing"].as_array().unwrap().len() >= 2, "{json}");
    assert_eq!(json["protocol"]["samples"]["left_out"]["txt"], 1, "{json}");
}

#[test]
fn what_cannot_be_measured_is_answered_with_the_file_and_the_remedy_and_leaves_nothing() {
    let place = place();
    let whole = std::fs::read(place.path("run/none.npz")).unwrap();
    std::fs::write(place.path("cut.npz"), &whole[..whole.len() / 2]).unwrap();
    std::fs::create_dir(place.path("empty")).unwrap();
    std::fs::write(place.path("noise.safetensors"), "noise").unwrap();
    let before = place.files();
    let mistakes: [&[&str]; 10] = [
        &["run/cfg"],
        &["run/cfg", "--reference", "none"],
        &["run", "--reference", "run/none"],
        &["empty", "--reference", "run/none"],
        &["run/cfg", "--reference", "cut.npz"],
        &["run/cfg", "--reference", "noise.safetensors"],
        &["run/cfg", "--reference", "run.ron"],
        &["run/cfg", "--reference", "run/none", "--json", "missing/a.json"],
        &["run/cfg", "--reference", "run/none", "--splits", "0"],
        &["run/cfg", "--reference", "run/none", "--features", "inception"],
    ];
    let mut told = String::new();
    for arguments in mistakes {
        let ran = place.run(&[&["evaluate"], arguments].concat());
        assert!(matches!(ran.code, Some(1 | 2)), "{arguments:?}: {ran:?}");
        assert_eq!(ran.out, "", "{arguments:?}");
        told += &format!("{}: {}\n{}\n\n", arguments.join(" "), ran.code.unwrap(), ran.err.trim_end());
    }
    assert_eq!(place.files(), before);
    insta::assert_snapshot!(told);
}
