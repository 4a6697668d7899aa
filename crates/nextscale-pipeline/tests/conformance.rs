//! Every rule, prior and sampler that a config can name keeps what all of them promise, including the newest.

use nextscale_pipeline::Registry;
use nextscale_pipeline::registry::{Entry, check_all};
use nextscale_priors::conformance::Outcome;

#[test]
fn everything_with_a_name_conforms() {
    let registry = Registry::standard();
    let reports = check_all(&registry).unwrap();
    let told = reports.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    // Two reports per rule and prior, one per sampler, and one per form of model that has settings.
    let twice = registry.rules().len() + registry.priors().len();
    let models = registry.models().iter().filter(|entry| entry.description.item().is_none()).count();
    let expected = 2 * twice + registry.samplers().len() + models;
    assert_eq!(reports.len(), expected, "{told}");
    // What rules claim is checked, and not only what all must promise.
    let tried = |subject: &str, check: &str| {
        let report = reports.iter().find(|report| report.to_string().starts_with(subject));
        let report = report.unwrap_or_else(|| panic!("no {subject} in {told}"));
        report.checks().iter().any(|found| found.name == check && found.outcome == Outcome::Passed)
    };
    for rule in ["Cfg", "Apg", "Ssg", "Rescale", "Gated"] {
        assert!(tried(rule, "a strength of zero is the base to the bit"), "{rule}");
    }
    assert!(
        tried("Ssg", "linear")
            && tried("Sum", "channels do not mix")
            && tried("Marginal", "images do not mix")
    );
    assert!(tried(
        "the settings of TopKTopP",
        "an unknown setting is answered with those that are described"
    ));
}

#[test]
fn what_does_not_conform_is_named() {
    use nextscale_core::{LogitMap, Passes, Result, ScaleSchedule};
    use nextscale_guidance::{Guidance, Step};

    #[derive(Debug)]
    struct Mixing;
    impl Guidance for Mixing {
        fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
            let map = step.conditional()?;
            map.with_values(map.values().clone() - map.values().clone().mean_dim(0))
        }
        fn passes(&self, _: usize, _: &ScaleSchedule) -> Passes {
            Passes::CONDITIONAL
        }
        fn lookback(&self) -> usize {
            0
        }
    }
    let rule: std::sync::Arc<dyn Guidance> = std::sync::Arc::new(Mixing);
    let registry = Registry::standard().with(Entry::value("Mixing", "Wrong.", rule));
    let told = check_all(&registry).unwrap_err().to_string();
    assert!(told.starts_with("Mixing") && told.contains("FAILED  images do not mix"), "{told}");
}

#[test]
fn an_example_that_is_not_read_is_named() {
    use nextscale_core::{Draw, LogitMap, Result};
    use nextscale_generate::sampler::{Argmax, Moment, Sampler};
    use nextscale_macros::Settings;

    /// The likeliest class, whatever the noise.
    #[derive(Debug, Settings)]
    #[setting(example = "Stubborn(deaf: 1)")]
    struct Stubborn {
        /// Nothing.
        #[allow(dead_code)]
        deaf: bool,
    }
    impl Sampler for Stubborn {
        fn draw(&self, logits: &LogitMap, moment: &Moment<'_>) -> Result<Draw> {
            Argmax.draw(logits, moment)
        }
    }
    let told = check_all(&Registry::new().with_sampler::<Stubborn>()).unwrap_err().to_string();
    assert!(
        told.starts_with("the settings of Stubborn") && told.contains("deaf: expected `true` or `false`"),
        "{told}"
    );
}
