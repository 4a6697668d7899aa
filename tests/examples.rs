//! The examples, run as a reader would run them: separate programs with every command.

use std::path::Path;
use std::process::ExitCode;

use nextscale::cli::Program;
use nextscale::config::Document;
use nextscale::conformance::check_all;
use nextscale::pipeline::Registry;

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
