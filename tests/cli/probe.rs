use super::program::Place;

/// A data set of ten classes, each of one colour: `set/{train,test}/CLASS/`.
fn set(place: &Place) {
    for (split, images) in [("train", 3u8), ("test", 1)] {
        for class in 0..10u8 {
            let folder = place.path(&format!("set/{split}/class{class}"));
            std::fs::create_dir_all(&folder).unwrap();
            for i in 0..images {
                let colour = [class * 25, 255 - class * 25, (class % 3) * 100 + i];
                let picture = image::RgbImage::from_pixel(8, 8, image::Rgb(colour));
                picture.save_with_format(folder.join(format!("{i}.png")), image::ImageFormat::Png).unwrap();
            }
        }
    }
}

const SET: &str = "Folder(root: \"set\", size: 8)";

#[test]
fn a_probe_is_fitted_the_same_every_time_and_asked_of_runs_and_folders() {
    let place = Place::new();
    set(&place);
    let fit = |out: &str, more: &[&str]| {
        let ran = place.run(&[&["probe", "fit", SET, "--out", out], more].concat());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.out
    };
    let said = fit("probe.safetensors", &[]);
    let expected = "wrote probe.safetensors: 10 classes\naccuracy 1.0000 ± 0.0000 on 30 training images\n\
                    accuracy 1.0000 ± 0.0000 on 10 test images\n";
    assert_eq!(said, expected);
    fit("again.safetensors", &[]);
    let bytes = |name: &str| std::fs::read(place.path(name)).unwrap();
    assert!(bytes("probe.safetensors") == bytes("again.safetensors"));
    assert!(fit("few.safetensors", &["--per-class", "1"]).contains("on 10 training images"));
    // Without splits, images are held out as in a training: here the last of the three of each class.
    let unsplit = "Folder(root: \"set/train\", size: 8)";
    let ran = place.run(&["probe", "fit", unsplit, "--out", "unsplit.safetensors"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.out.contains("on 20 training images") && ran.out.contains("on 10 test images"),
        "{}",
        ran.out
    );
    let held_out = format!("Test({unsplit})");
    let ran = place.run(&["evaluate", &held_out, "--probe", "unsplit.safetensors"]);
    assert!(ran.code == Some(0) && ran.out.contains("n = 10\n"), "{ran:?}");
    // Without a reference, only the probe's accuracy is measured.
    let ran = place.run(&["evaluate", "set/test", "--probe", "probe.safetensors", "--json", "a.json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.out.starts_with("Probe accuracy-Lite0  1.00000 ± 0.00e0  ± standard error; n = 10\n"),
        "{}",
        ran.out
    );
    let json: serde_json::Value = serde_json::from_slice(&bytes("a.json")).unwrap();
    assert_eq!(json["measures"][0]["value"], 1.0);
    assert_eq!(json["protocol"]["probe"]["images"], 10);
    let other = place.run(&["evaluate", "set/test", "--probe", "cifar10"]);
    assert!(other.code == Some(1) && other.err.contains("`class0` is not one of the classes"), "{other:?}");
    // A run's config has the labels of its images; the distances appear beside the accuracy.
    place.config("run.ron", "condition: PerClass(2), guidance: Conditional, sampling: TopKTopP(top_k: 20)");
    assert_eq!(place.run(&["generate", "run.ron"]).code, Some(0));
    let measured = ["evaluate", "run", "--reference", "set/train", "--probe", "probe.safetensors"];
    let ran = place.run(&measured);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("FD-Lite0") && ran.out.contains("n = 20"), "{}", ran.out);
    assert!(ran.out.contains("probe      probe.safetensors, sha256 "), "{}", ran.out);
}

#[test]
fn what_a_probe_cannot_be_fitted_to_or_asked_is_answered_with_the_remedy() {
    let place = Place::new();
    set(&place);
    let fitted = place.run(&["probe", "fit", SET, "--out", "probe.safetensors"]);
    assert_eq!(fitted.code, Some(0), "{fitted:?}");
    let saved = place.run(&["evaluate", "set/test", "--save-statistics", "set.safetensors"]);
    assert_eq!(saved.code, Some(0), "{saved:?}");
    place.config("null.ron", "condition: Null(2), guidance: Conditional, sampling: TopKTopP(top_k: 20)");
    assert_eq!(place.run(&["generate", "null.ron"]).code, Some(0));
    let before = place.files();
    let mistakes: [&[&str]; 12] = [
        &["probe", "fit", "set", "--out", "a.safetensors"],
        &["probe", "fit", "set/test", "--out", "a.safetensors"],
        &["probe", "fit", "none", "--out", "a.safetensors"],
        &["probe", "fit", "Folder(root: \"set\")", "--out", "a.safetensors"],
        &["probe", "fit", SET, "--out", "missing/a.safetensors"],
        &["probe", "fit", SET, "--out", "a.safetensors", "--l2", "0"],
        &["evaluate", "set/test/class0", "--probe", "probe.safetensors"],
        &["evaluate", "set.safetensors", "--probe", "probe.safetensors"],
        &["evaluate", "null", "--probe", "probe.safetensors"],
        &["evaluate", "set/test", "--probe", "set.safetensors"],
        &["evaluate", "set/test", "--probe", "cifar100"],
        &["evaluate", "set/test", "--probe", "probe.safetensors", "--save-statistics", "b.safetensors"],
    ];
    let mut told = String::new();
    for arguments in mistakes {
        let ran = place.run(arguments);
        assert!(matches!(ran.code, Some(1 | 2)) && ran.out.is_empty(), "{arguments:?}: {ran:?}");
        told += &format!("{}: {}\n{}\n\n", arguments.join(" "), ran.code.unwrap(), ran.err.trim_end());
    }
    assert_eq!(place.files(), before);
    insta::assert_snapshot!(told);
}

#[test]
fn a_trained_classifier_measures_samples_beside_a_probe() {
    let place = Place::new();
    set(&place);
    let config = "(data: Folder(root: \"set\", size: 8), steps: 60, batch: 10, channels: 8, stages: 2, flips: false, \
                  training: (learning_rate: 1e-2, sample_every: 60, log_every: 60))";
    std::fs::write(place.path("classifier.ron"), config).unwrap();
    let trained = place.run(&["train", "classifier", "classifier.ron", "--out", "c"]);
    assert_eq!(trained.code, Some(0), "{trained:?}");
    let file = "c/classifier.safetensors";
    // Its accuracy on the test images is the last one that the training itself measured.
    let last = std::fs::read(place.path("c/evaluation.json")).unwrap();
    let last: serde_json::Value = serde_json::from_slice(&last).unwrap();
    let found = last["accuracy"].as_f64().unwrap();
    assert!(found > 0.3, "it has learnt nothing: {found}");
    let ran = place.run(&["evaluate", "set/test", "--classifier", file, "--json", "a.json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.starts_with("Classifier accuracy  "), "{}", ran.out);
    assert!(
        ran.out.contains("n = 10\n") && ran.out.contains("classifier c/classifier.safetensors, sha256 "),
        "{}",
        ran.out
    );
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(place.path("a.json")).unwrap()).unwrap();
    let value = json["measures"][0]["value"].as_f64().unwrap();
    assert!((value - found).abs() < 0.11, "{value}, {found}");
    assert_eq!(json["protocol"]["classifier"]["images"], 10);
    // Beside a probe and a reference, in one pass.
    let fitted = place.run(&["probe", "fit", SET, "--out", "probe.safetensors"]);
    assert_eq!(fitted.code, Some(0), "{fitted:?}");
    let all = ["--reference", "set/train", "--probe", "probe.safetensors", "--classifier", file];
    let ran = place.run(&[&["evaluate", "set/test"], &all[..]].concat());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for name in ["FD-Lite0", "Probe accuracy-Lite0", "Classifier accuracy"] {
        assert!(ran.out.contains(name), "{name}: {}", ran.out);
    }
    let mistakes: [(&[&str], &str); 3] = [
        (&["--classifier", "none.safetensors"], "there is no file `none.safetensors` in the current folder"),
        (&["--classifier", "probe.safetensors"], "probe.safetensors is not a classifier"),
        (&["--classifier", file, "--size", "16"], "trained on 8×8 pixels, and the images have 16×16"),
    ];
    for (more, expected) in mistakes {
        let ran = place.run(&[&["evaluate", "set/test"], more].concat());
        assert!(ran.code != Some(0) && ran.err.contains(expected), "{ran:?}");
    }
}
