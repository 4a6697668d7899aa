//! A trace's metadata: enough to read it without the run's folder.

use std::collections::BTreeMap;

use nextscale_config::{Node, Value};
use nextscale_core::ScaleSchedule;
use nextscale_guidance::Strength;
use serde_json::json;

use crate::trace_spec::TraceSpec;
use crate::{Prepared, version};

/// Labels that take more bytes are left out; the run's `images.csv` has them.
const MOST_BYTES: usize = 8 << 20;

/// The header's entries for rule number `method`: `scales` like `1 2 4`, `labels`, `config`, `strengths` by
/// path within the rule with a number for each scale, `version`, and the numbers of the images if not all are
/// kept.
pub(crate) fn about(prepared: &Prepared, method: usize, spec: &TraceSpec) -> BTreeMap<String, String> {
    let schedule = prepared.model.schedule();
    let mut entries: BTreeMap<String, String> = BTreeMap::from([
        ("scales".to_owned(), schedule.to_string()),
        ("config".into(), prepared.resolved().to_ron_string()),
        ("version".into(), version::words()),
    ]);
    let mut strengths = BTreeMap::new();
    if let Some(rule) = prepared.rule(method) {
        find_strengths(rule, "guidance", schedule, &mut strengths);
    }
    entries.insert("strengths".into(), json!(strengths).to_string());
    let kept = |image: &u64| spec.place(*image).is_some();
    let images: Vec<u64> = (0..prepared.conditions.len() as u64).filter(kept).collect();
    let labels: Vec<String> = images.iter().map(|&image| prepared.label(image)).collect();
    let labels = json!(labels).to_string();
    if labels.len() <= MOST_BYTES {
        entries.insert("labels".into(), labels);
    }
    if !spec.images.is_empty() {
        entries.insert("indices".into(), json!(images).to_string());
    }
    entries
}

/// The strengths of a resolved rule, by name, and their values at every scale.
fn find_strengths(node: &Node, path: &str, schedule: &ScaleSchedule, found: &mut BTreeMap<String, Vec<f64>>) {
    const NAMES: [&str; 6] = ["Constant", "Ramp", "Linear", "Cosine", "List", "During"];
    if node.name().is_some_and(|name| NAMES.contains(&name))
        && let Ok(strength) = node.decode::<Strength>()
    {
        let values = (0..schedule.len()).map(|k| strength.at(k, schedule)).collect();
        found.insert(path.to_owned(), values);
        return;
    }
    match &node.value {
        Value::Struct { fields, .. } => {
            for field in fields {
                find_strengths(&field.node, &format!("{path}.{}", field.name), schedule, found);
            }
        }
        Value::List(items) | Value::Tuple { items, .. } => {
            for (i, item) in items.iter().enumerate() {
                find_strengths(item, &format!("{path}[{i}]"), schedule, found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nextscale_config::Document;

    #[test]
    fn strengths_are_found_wherever_a_rule_has_them() {
        let text =
            "Sum(rules: [Cfg(scale: Ramp(4.0)), Ssg(prior: Dse(), beta: During(1, 1, Constant(0.5)))])";
        let node = Document::parse("rule.ron", text).unwrap();
        let mut found = BTreeMap::new();
        find_strengths(&node, "guidance", &ScaleSchedule::square(&[1, 2, 4]).unwrap(), &mut found);
        let expected = [
            ("guidance.rules[0].scale".to_owned(), vec![0.0, 2.0, 4.0]),
            ("guidance.rules[1].beta".into(), vec![0.0, 0.5, 0.0]),
        ];
        assert_eq!(found, BTreeMap::from(expected));
    }
}
