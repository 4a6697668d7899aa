//! The examples, run as a reader would run them: separate programs with every command.

use std::path::Path;
use std::process::ExitCode;

use nextscale::cli::Program;
use nextscale::config::Document;
use nextscale::conformance::check_all;
use nextscale::pipeline::Registry;
use nextscale::train::captions::{Agreement, Thresholds};

#[allow(dead_code)]
#[path = "../examples/adherence.rs"]
mod adherence;
#[allow(dead_code)] // its main is not run
#[path = "../examples/disagreement_rule.rs"]
mod disagreement_rule;
#[allow(dead_code)]
#[path = "../examples/gaussian_prior.rs"]
mod gaussian_prior;

/// Runs a command line of the program with this registry; adds `--out`.
fn run(registry: Registry, words: &[&str], out: &Path) {
    let words = [&["program"], words, &["--out", out.to_str().unwrap()]].concat();
    assert_eq!(Program::new(registry).run(words), ExitCode::SUCCESS);
}

fn example(name: &str) -> String {
    format!("{}/examples/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_program_of_ones_own_draws_with_its_rule() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    run(disagreement_rule::registry(), &["generate", &example("disagreement.ron")], &out);
    let image = |variant: &str| std::fs::read(out.join(variant).join("00007.png")).unwrap();
    assert_ne!(image("disagreement"), image("cfg"));
    assert_ne!(image("disagreement"), image("ssg-over-it"));
}

#[test]
fn a_program_of_ones_own_ablates_with_its_rule() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // Two images per cell.
    run(disagreement_rule::registry(), &["ablate", &example("disagreement-ablation.ron"), "--quick"], &out);
    let table = std::fs::read_to_string(out.join("measures.csv")).unwrap();
    for cell in ["none", "cfg", "disagreement"] {
        assert!(table.lines().any(|line| line.contains(cell)), "{cell} is not in\n{table}");
    }
}

#[test]
fn what_programs_of_ones_own_have_conforms() {
    check_all(&disagreement_rule::registry()).unwrap();
    check_all(&gaussian_prior::registry()).unwrap();
}

#[test]
fn a_program_of_ones_own_draws_with_its_prior() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    run(gaussian_prior::registry(), &["generate", &example("gaussian.ron")], &out);
    let image = |variant: &str| std::fs::read(out.join(variant).join("00003.png")).unwrap();
    assert_ne!(image("narrow"), image("wide"));
}

#[test]
fn a_wrong_command_line_of_a_program_of_ones_own_is_usage() {
    let program = Program::new(disagreement_rule::registry());
    assert_eq!(program.run(["program", "generate", "nothing.ron"]), ExitCode::from(2));
    assert_eq!(program.run(["program", "generat"]), ExitCode::from(2));
}

#[test]
fn a_method_of_ones_own_is_told_of_like_a_built_in_one() {
    let refused = |registry: &Registry, text: &str| {
        let error = registry.rule(&Document::parse("run.ron", text).unwrap()).unwrap_err();
        let nextscale::pipeline::Error::Config(error) = error else { panic!("no place: {error}") };
        format!("{error}; {}", error.help_text().unwrap_or_default())
    };
    let misspelt = refused(&disagreement_rule::registry(), "Disagrement(scale: 1)");
    assert!(misspelt.contains("did you mean `Disagreement`?"), "{misspelt}");
    let refused = refused(&gaussian_prior::registry(), "Ssg(prior: Gaussian(sigma: -1), beta: 1)");
    assert!(refused.contains("sigma: -1 is not a width"), "{refused}");
}

#[test]
fn adherence_is_what_images_show_of_what_their_prompts_ask_for() {
    let folder = tempfile::tempdir().unwrap();
    let classes = ["ship", "truck"].map(String::from);
    let prompts = adherence::prompts(100, &classes);
    assert_eq!(prompts[..2], ["a dark photo of a red ship", "a dark photo of a red truck"]);
    assert_eq!(prompts[2], "a dark photo of an orange ship");
    assert_eq!(prompts.iter().collect::<std::collections::BTreeSet<_>>().len(), 100);
    assert_eq!(prompts[99], "a black truck");

    // Two images as the prompts ask, and one of another colour that is not darker than the rest.
    let levels = [[120, 10, 10], [120, 10, 10], [120, 140, 250]];
    std::fs::create_dir(folder.path().join("none")).unwrap();
    for (image, level) in levels.into_iter().enumerate() {
        let picture = image::RgbImage::from_pixel(8, 8, image::Rgb(level));
        picture.save(folder.path().join(format!("none/0000{image}.png"))).unwrap();
    }
    let manifest = r#"{"format":1,"version":"0","config":"0","weights":"0","device":"cpu","folders":["none"],"images":3}"#;
    std::fs::write(folder.path().join("manifest.json"), manifest).unwrap();
    let config = format!("(model: Any, condition: Prompts({:?}))", &prompts[..3]);
    std::fs::write(folder.path().join("config.ron"), config).unwrap();
    let thresholds = Thresholds { share: 0.5, dark: 0.3, bright: 0.6, cold: -0.1, warm: 0.1 };
    let found = adherence::of_run(folder.path(), &thresholds).unwrap();
    let [(name, found)] = &found[..] else { panic!("{found:?}") };
    let counts = |kind: Option<Agreement>| kind.map(|kind| (kind.agreed, kind.images));
    assert_eq!((name.as_str(), counts(found.colour)), ("none", Some((2, 3))));
    assert_eq!((counts(found.brightness), counts(found.warmth)), (Some((2, 3)), None));
    let line = adherence::line("colour", found.colour);
    assert!(line.contains("66.7 %") && line.contains("of 3 images"), "{line}");
    assert!(adherence::of_run(&folder.path().join("none"), &thresholds).is_err());
}
