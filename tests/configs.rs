//! The configs of runs that come with the program fit it.

use std::path::Path;

use nextscale::pipeline::{Config, Registry};

fn read(name: &str) -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs").join(name);
    Config::read(&path, &Registry::standard()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn configs_of_the_shipped_model_fit_it() {
    for name in ["quickstart.ron", "template.ron", "guidance-rules.ron"] {
        read(name).prepare().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn configs_of_other_models_are_read() {
    read("var-d16.ron");
}

#[test]
fn every_rule_is_shown_side_by_side() {
    let shown = format!("{:?}", read("guidance-rules.ron").methods);
    for entry in Registry::standard().rules() {
        assert!(shown.contains(&entry.name), "{} is not in configs/guidance-rules.ron", entry.name);
    }
}
