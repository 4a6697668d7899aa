//! Every rule and prior that a config can name keeps what all of them promise, the newest included.

use nextscale_config::Document;
use nextscale_guidance::conformance::check_rule;
use nextscale_pipeline::Registry;
use nextscale_priors::conformance::check_prior;

#[test]
fn every_rule_with_a_name_conforms() {
    let registry = Registry::standard();
    for entry in registry.rules() {
        let example = entry.example.as_ref().unwrap_or_else(|| panic!("{} has no example", entry.name));
        let built = registry.rule(&Document::parse(&entry.name, example).unwrap()).unwrap();
        check_rule(&*built.value).run().into_result().unwrap();
    }
}

#[test]
fn every_prior_with_a_name_conforms() {
    let registry = Registry::standard();
    // Marginal needs a file; tests/calibration.rs makes one.
    for entry in registry.priors().filter(|entry| entry.name != "Marginal") {
        let example = entry.example.as_ref().unwrap_or_else(|| panic!("{} has no example", entry.name));
        let built = registry.prior(&Document::parse(&entry.name, example).unwrap()).unwrap();
        check_prior(&*built.value).run().into_result().unwrap();
    }
}
