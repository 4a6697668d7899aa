use super::program::Place;

#[test]
fn every_command_has_help() {
    let place = Place::new();
    for command in [
        "",
        "generate",
        "evaluate",
        "probe",
        "probe fit",
        "neighbours",
        "ablate",
        "report",
        "calibrate",
        "reconstruct",
        "init",
        "train",
        "curves",
        "inspect",
        "list",
        "schema",
        "bench",
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
    insta::assert_snapshot!(ran.out);
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
