//! The rules of a config, and for each with SSG the same rule without it.

use std::sync::Arc;

use nextscale_config::{Node, Value};
use nextscale_guidance::Guidance;

use super::{Beside, Row, Sample, Seconds, Spread, SsgShare};
use crate::config::Config;
use crate::registry::named;
use crate::{Registry, Result};
use nextscale_generate::observe::Part;

/// A rule that is measured.
pub(super) struct Rule {
    /// Its name in the report.
    pub name: String,
    /// The rule.
    pub rule: Arc<dyn Guidance>,
    /// With every default filled in, to recognise equal rules.
    resolved: Node,
}

/// Rules, and pairs of them.
pub(super) struct Twins {
    /// Those of the config, in its order, followed by those added for comparison.
    pub rules: Vec<Rule>,
    /// How many are the config's.
    own: usize,
    /// With SSG and without, by index.
    pairs: Vec<(usize, usize)>,
}

impl Twins {
    /// # Errors
    /// If a rule cannot be built without SSG.
    pub fn of(config: &Config, registry: &Registry) -> Result<Self> {
        let mut rules = Vec::new();
        for method in &config.methods {
            let name = method.name.clone().unwrap_or_else(|| "guidance".into());
            let resolved = registry.rule(&method.node)?.resolved;
            rules.push(Rule { name, rule: Arc::clone(&method.rule), resolved });
        }
        let mut pairs = Vec::new();
        for (with, method) in config.methods.iter().enumerate() {
            let Some(node) = without_ssg(&method.node)? else { continue };
            let built = registry.rule(&node)?;
            let without = match rules.iter().position(|rule| rule.resolved == built.resolved) {
                Some(known) => known,
                None => {
                    let name = format!("{} without SSG", rules[with].name);
                    rules.push(Rule { name, rule: built.value, resolved: built.resolved });
                    rules.len() - 1
                }
            };
            pairs.push((with, without));
        }
        Ok(Self { rules, own: config.methods.len(), pairs })
    }

    /// The config's rules beside its first; runs of one turn are compared with each other.
    pub fn beside(&self, samples: &[Vec<Sample>]) -> Vec<Beside> {
        let whole = |sample: &Sample| sample.whole.as_secs_f64();
        let beside = |rule: usize| Beside {
            rule: self.rules[rule].name.clone(),
            first: self.rules[0].name.clone(),
            ratio: Spread::of(
                samples[rule].iter().zip(&samples[0]).map(|(own, first)| whole(own) / whole(first)),
            ),
        };
        (1..self.own).map(beside).collect()
    }

    /// One row per rule.
    pub fn rows(&self, samples: &[Vec<Sample>], images: usize) -> Vec<Row> {
        let row = |(rule, samples): (&Rule, &Vec<Sample>)| {
            let spread = |seconds: &dyn Fn(&Sample) -> f64| Spread::of(samples.iter().map(seconds));
            let part = |part: Part| spread(&|sample| sample.part(part));
            Row {
                name: rule.name.clone(),
                seconds: Seconds {
                    whole: spread(&|sample| sample.whole.as_secs_f64()),
                    backbone: part(Part::Backbone),
                    guidance: part(Part::Guidance),
                    sampling: part(Part::Sampling),
                    canvas: part(Part::Canvas),
                    decoding: part(Part::Decoding),
                    rest: spread(&Sample::rest),
                },
                images_per_second: spread(&|sample| images as f64 / sample.whole.as_secs_f64()),
            }
        };
        self.rules.iter().zip(samples).map(row).collect()
    }

    /// One share per pair; runs of one turn are compared with each other.
    pub fn shares(&self, samples: &[Vec<Sample>]) -> Vec<SsgShare> {
        let share = |&(with, without): &(usize, usize)| {
            let turns = || samples[with].iter().zip(&samples[without]);
            let added = |(with, without): (&Sample, &Sample)| {
                with.part(Part::Guidance) - without.part(Part::Guidance)
            };
            let whole = |sample: &Sample| sample.whole.as_secs_f64();
            SsgShare {
                with: self.rules[with].name.clone(),
                without: self.rules[without].name.clone(),
                guidance_share: Spread::of(
                    samples[with].iter().map(|sample| sample.part(Part::Guidance) / whole(sample)),
                ),
                added_seconds: Spread::of(turns().map(added)),
                added_share: Spread::of(turns().map(|turn| added(turn) / whole(turn.0))),
            }
        };
        self.pairs.iter().map(share).collect()
    }
}

/// A rule with its base in place of every SSG; `None` if it has no SSG.
fn without_ssg(node: &Node) -> Result<Option<Node>> {
    if node.name() == Some("Ssg") {
        let base = match node.get("base") {
            Ok(base) => base.clone(),
            Err(_) => named("Conditional")?,
        };
        return Ok(Some(without_ssg(&base)?.unwrap_or(base)));
    }
    let mut stripped = node.clone();
    let children: Vec<&mut Node> = match &mut stripped.value {
        Value::List(items) | Value::Tuple { items, .. } => items.iter_mut().collect(),
        Value::Struct { fields, .. } => fields.iter_mut().map(|field| &mut field.node).collect(),
        _ => Vec::new(),
    };
    let mut changed = false;
    for child in children {
        if let Some(node) = without_ssg(child)? {
            *child = node;
            changed = true;
        }
    }
    Ok(changed.then_some(stripped))
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use nextscale_config::Document;

    use super::*;
    use nextscale_generate::observe::Times;

    fn stripped(text: &str) -> String {
        let node = Document::parse("run.ron", text).unwrap();
        without_ssg(&node).unwrap().map_or("as it is".into(), |node| node.to_string())
    }

    #[test]
    fn the_base_takes_the_place_of_every_ssg() {
        assert_eq!(stripped("Cfg(scale: 1.5)"), "as it is");
        assert_eq!(stripped("Ssg(base: Cfg(scale: 1.5), prior: Dse(), beta: 0.5)"), "Cfg(scale: 1.5)");
        assert_eq!(stripped("Ssg(prior: Dse(), beta: 0.5)"), "Conditional");
        assert_eq!(
            stripped("Ssg(base: Ssg(base: Cfg(scale: 2.0), prior: Mean, beta: 1), prior: Dse(), beta: 0.5)"),
            "Cfg(scale: 2.0)"
        );
        assert_eq!(
            stripped("Sum(base: Conditional, rules: [Cfg(scale: 1.5), Ssg(prior: Dse(), beta: 1)])"),
            "Sum(base: Conditional, rules: [Cfg(scale: 1.5), Conditional])"
        );
    }

    fn twins(variants: &str) -> Twins {
        let registry = Registry::standard();
        let text = format!("(model: Shipped(\"cifar10\"), condition: Labels([1]), variants: [{variants}])");
        let node = Document::parse("run.ron", &text).unwrap();
        Twins::of(&Config::from_node(&node, Path::new(""), &registry).unwrap(), &registry).unwrap()
    }

    #[test]
    fn a_rule_that_is_there_already_is_the_twin() {
        let twins = twins(
            r#"("none", Conditional), ("cfg", Cfg(scale: Ramp(3.0))),
            ("ssg", Ssg(prior: Dse(), beta: 0.5)), ("both", Ssg(base: Cfg(scale: Ramp(3)), prior: Dse(), beta: 0.5)),
            ("other", Ssg(base: Cfg(scale: 1.0), prior: Dse(), beta: 0.5))"#,
        );
        let names: Vec<&str> = twins.rules.iter().map(|rule| &*rule.name).collect();
        assert_eq!(names, ["none", "cfg", "ssg", "both", "other", "other without SSG"]);
        assert_eq!(twins.pairs, [(2, 0), (3, 1), (4, 5)]);
    }

    #[test]
    fn shares_are_those_of_runs_side_by_side() {
        let sample = |whole: u64, guidance: u64, backbone: u64| {
            let mut times = Times::default();
            times.add(Part::Guidance, Duration::from_millis(guidance));
            times.add(Part::Backbone, Duration::from_millis(backbone));
            Sample { whole: Duration::from_millis(whole), times }
        };
        let twins = twins(r#"("ssg", Ssg(prior: Dse(), beta: 0.5)), ("none", Conditional)"#);
        let samples =
            [vec![sample(100, 10, 80), sample(200, 40, 150)], vec![sample(90, 0, 80), sample(150, 20, 130)]];
        let shares = twins.shares(&samples);
        assert_eq!((&*shares[0].with, &*shares[0].without), ("ssg", "none"));
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}");
        near(shares[0].added_seconds.min, 0.01);
        near(shares[0].added_seconds.max, 0.02);
        near(shares[0].guidance_share.median, 0.15);
        near(shares[0].added_share.median, 0.1);
        let beside = twins.beside(&samples);
        assert_eq!((&*beside[0].rule, &*beside[0].first, beside.len()), ("none", "ssg", 1));
        near(beside[0].ratio.min, 0.75);
        near(beside[0].ratio.max, 0.9);
        let rows = twins.rows(&samples, 2);
        near(rows[0].seconds.rest.min, 0.01);
        near(rows[0].images_per_second.max, 20.0);
    }
}
