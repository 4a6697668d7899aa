use nextscale::pipeline::{Config, Registry};

use super::program::Place;

#[test]
fn every_command_has_help() {
    let place = Place::new();
    for command in [
        "",
        "generate",
        "merge",
        "evaluate",
        "probe",
        "probe fit",
        "neighbours",
        "ablate",
        "report",
        "export",
        "validate",
        "calibrate",
        "reconstruct",
        "init",
        "train",
        "curves",
        "inspect",
        "list",
        "models",
        "schema",
        "completions",
        "man",
        "bench",
        "devices",
        "selfcheck",
    ] {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let ran = place.run(&arguments);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        insta::assert_snapshot!(format!("help_{}", command.replace(' ', "_")), ran.out);
    }
}

#[test]
fn the_list_names_everything_that_a_config_may() {
    let ran = Place::new().run(&["list"]);
    assert_eq!(ran.code, Some(0));
    let registry = Registry::standard();
    let rules = registry.rules().iter().map(|entry| &entry.description);
    let priors = registry.priors().iter().map(|entry| &entry.description);
    let samplers = registry.samplers().iter().map(|entry| &entry.description);
    for thing in rules.chain(priors).chain(samplers) {
        let told = |line: &str| line.trim_start().starts_with(thing.name) && line.contains(&thing.phrase());
        assert!(ran.out.lines().any(told), "{} is not in {}", thing.name, ran.out);
    }
}

#[test]
fn what_init_writes_is_a_run_and_names_everything_that_may_stand_in_it() {
    let place = Place::new();
    assert_eq!(place.run(&["init"]).code, Some(0));
    let text = std::fs::read_to_string(place.path("nextscale.ron")).unwrap();
    for entry in Registry::standard().priors() {
        assert!(text.contains(entry.description.example), "{} is not in {text}", entry.description.name);
    }
    Config::read(&place.path("nextscale.ron"), &Registry::standard()).unwrap().prepare().unwrap();
}

#[test]
fn inspect_says_what_a_checkpoint_is() {
    let place = Place::new();
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/var");
    let mut told = String::new();
    for file in ["var_aln.pth", "var_saln.safetensors", "sampling.safetensors", "README.md", "none.pth"] {
        let ran = place.run(&["inspect", &format!("{fixtures}/{file}")]);
        told += &format!("{file}: {:?}\n{}{}\n", ran.code, ran.out, ran.err);
    }
    insta::assert_snapshot!(told);
}
