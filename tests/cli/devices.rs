use super::program::Place;

#[test]
fn the_cpu_is_listed_and_the_features_that_are_missing() {
    let ran = Place::new().run(&["devices"]);
    assert_eq!((ran.code, &*ran.err), (Some(0), ""), "{ran:?}");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].starts_with("device") && lines[0].ends_with("selfcheck"), "{}", ran.out);
    assert!(lines[1].starts_with("cpu ") && lines[1].contains("f32"), "{}", ran.out);
    if !cfg!(feature = "cuda") {
        assert!(ran.out.contains("cargo install --path . --features cuda"), "{}", ran.out);
    }
}

#[test]
fn a_device_that_was_not_built_is_answered_with_the_command_that_builds_it() {
    let place = Place::new();
    place.config("run.ron", "condition: Labels([3]), guidance: Conditional");
    for (feature, built) in [("rocm", cfg!(feature = "rocm")), ("tch", cfg!(feature = "tch"))] {
        if built {
            continue;
        }
        let name = if feature == "tch" { "tch:cpu" } else { feature };
        let ran = place.run(&["generate", "run.ron", "--device", name]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        let command = format!("cargo install --path . --features {feature}");
        assert!(ran.err.contains("no device") && ran.err.contains(&command), "{}", ran.err);
    }
    let ran = place.run(&["generate", "run.ron", "--device", "gpu"]);
    assert!(ran.code == Some(2) && ran.err.contains("unknown device `gpu`"), "{ran:?}");
}

#[test]
fn auto_says_what_it_took() {
    let place = Place::new();
    place.config("run.ron", "condition: Labels([3]), guidance: Conditional");
    let ran = place.run(&["generate", "run.ron", "--device", "auto"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains("device: auto took "), "{}", ran.err);
}
