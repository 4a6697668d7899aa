//! Runs the conformance kits on everything in a registry.

use nextscale_config::settings::{Entry, Kind, Names};
use nextscale_config::{Document, Node};
use nextscale_families::ModelSource;
use nextscale_guidance::Guidance;
use nextscale_guidance::conformance::check_rule;
use nextscale_priors::Prior;
use nextscale_priors::conformance::{NotConformant, Report, check_prior};

use super::Registry;
use nextscale_generate::sampler::Sampler;

/// Checks every rule, prior, sampler and model family of a registry: that its settings are read and written
/// as described, and for rules and priors what all of them promise and what each claims. A rule's test is a
/// call of this.
///
/// # Errors
/// The report of the first that fails.
pub fn check_all(registry: &Registry) -> Result<Vec<Report>, NotConformant> {
    let names = registry.names();
    let mut reports = Vec::new();
    for entry in registry.rules() {
        reports.push(settings(entry, names).into_result()?);
        reports.push(sampled(entry, names, |rule: &dyn Guidance| check_rule(rule).run()).into_result()?);
    }
    for entry in registry.priors() {
        reports.push(settings(entry, names).into_result()?);
        reports.push(sampled(entry, names, |prior: &dyn Prior| check_prior(prior).run()).into_result()?);
    }
    for entry in registry.samplers() {
        reports.push(settings::<dyn Sampler>(entry, names).into_result()?);
    }
    // What takes an item instead of settings has none to check.
    for entry in registry.models().iter().filter(|entry| entry.description.item().is_none()) {
        reports.push(settings::<dyn ModelSource>(entry, names).into_result()?);
    }
    Ok(reports)
}

/// A kit's report on an instance.
fn sampled<K: Kind + ?Sized>(entry: &Entry<K>, names: &Names, check: impl FnOnce(&K) -> Report) -> Report {
    match entry.sample(names) {
        Ok(sample) => check(&sample),
        Err(error) => {
            let mut report = Report::new(entry.description.name);
            report.check("there is an instance to try", || {
                Err(format!("{error}; if the example needs a file, give #[setting(sample = function)]"))
            });
            report
        }
    }
}

/// Checks that the settings are those of the description.
fn settings<K: Kind + ?Sized>(entry: &Entry<K>, names: &Names) -> Report {
    let mut report = Report::new(format!("the settings of {}", entry.description.name));
    report.check("an unknown setting is answered with those that are described", || {
        let told: Vec<&str> = entry.description.settings.iter().map(|setting| setting.name).collect();
        let mut node = example(entry)?;
        // Without a description, everything is unknown.
        node.set("nonsense", "0").map_err(|error| error.to_string())?;
        match names.build::<K>(&node) {
            Ok(_) => Err("it was accepted".into()),
            Err(error) => {
                let help = error.help_text().unwrap_or_default();
                let list = help.split_once("allowed: ").map_or("", |(_, list)| list);
                let allowed: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
                if allowed == told { Ok(()) } else { Err(format!("{error}; {help}")) }
            }
        }
    });
    let name = "the resolved config of its example is read as the same";
    let built = example(entry).and_then(|node| names.build::<K>(&node).map_err(|error| error.to_string()));
    if built.is_err() && entry.own_sample().is_some() {
        report.not_claimed(name, "its example needs a file");
        return report;
    }
    report.check(name, || {
        let resolved = built?.resolved;
        let text = resolved.to_ron_string();
        let node = Document::parse("resolved", &text).map_err(|error| error.to_string())?;
        let again = names.build::<K>(&node).map_err(|error| format!("{text}: {error}"))?.resolved;
        if again == resolved { Ok(()) } else { Err(format!("{text} is read as {}", again.to_ron_string())) }
    });
    report
}

fn example<K: Kind + ?Sized>(entry: &Entry<K>) -> Result<Node, String> {
    entry.example().map_err(|error| error.to_string())
}
