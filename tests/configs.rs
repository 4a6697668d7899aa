//! The run configs that come with the program are valid.

use std::path::Path;

use nextscale::config::Document;
use nextscale::pipeline::calibration::read as read_averages;
use nextscale::pipeline::{Config, Registry};

fn read(name: &str) -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name);
    Config::read(&path, &Registry::standard()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn configs_of_shipped_models_fit_them() {
    for name in
        ["quickstart.ron", "prompts.ron", "template.ron", "guidance-rules.ron", "calibrate-cifar10.ron"]
    {
        read(name).prepare().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn the_shipped_averages_are_of_the_shipped_model_and_of_what_their_config_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root.join("models/cifar10/marginal.safetensors");
    let averages = read_averages(&file).unwrap_or_else(|error| panic!("{error}"));
    let calibrated = read("calibrate-cifar10.ron").prepare().unwrap();
    assert_eq!(
        averages.weights,
        calibrated.model.fingerprint(),
        "the shipped model was replaced; models/cifar10/README.md has the command that makes {} again",
        file.display()
    );
    let halves = averages.halves.unwrap();
    assert!(
        halves < 0.1,
        "averages over even and over odd images differ by {halves}: calibrate on more images"
    );
    // In the ablation of priors, SSG has the base that was averaged.
    let text = std::fs::read_to_string(root.join("configs/ablate-priors.ron")).unwrap();
    let base = calibrated.resolved().get("guidance").unwrap().to_string();
    let ablated = Document::parse("a.ron", &text).unwrap();
    let node =
        ablated.get("base").and_then(|base| base.get("guidance")).and_then(|ssg| ssg.get("base")).unwrap();
    assert_eq!(Registry::standard().rule(node).unwrap().resolved.to_string(), base);
}

#[test]
fn configs_of_other_models_are_read() {
    read("var-d16.ron");
    read("infinity-125m.ron");
    read("hart-0.7b.ron");
}

#[test]
fn every_rule_is_shown_side_by_side() {
    let shown = format!("{:?}", read("guidance-rules.ron").methods);
    for entry in Registry::standard().rules() {
        assert!(
            shown.contains(entry.description.name),
            "{} is not in configs/guidance-rules.ron",
            entry.description.name
        );
    }
}
