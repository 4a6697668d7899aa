//! The examples, run as a reader would run them.

use nextscale::config::Document;
use nextscale::pipeline::Registry;

#[allow(dead_code)] // its main is not run
#[path = "../examples/disagreement_rule.rs"]
mod disagreement_rule;
#[allow(dead_code)]
#[path = "../examples/gaussian_prior.rs"]
mod gaussian_prior;

fn grid(folder: &std::path::Path) -> Vec<u8> {
    std::fs::read(folder.join("grid.png")).unwrap()
}

#[test]
fn the_rule_conforms_and_draws() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let summary = disagreement_rule::draw(&out).unwrap();
    assert_eq!(summary.made, 30);
    let image = |variant: &str| std::fs::read(out.join(variant).join("00007.png")).unwrap();
    assert_ne!(image("disagreement"), image("cfg"));
    assert_ne!(image("disagreement"), image("ssg-over-it"));
}

#[test]
fn the_prior_conforms_and_draws() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let summary = gaussian_prior::draw(&out).unwrap();
    assert_eq!(summary.made, 20);
    assert!(!grid(&out).is_empty());
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
    assert!(refused.contains("sigma: -1 is no width"), "{refused}");
}
