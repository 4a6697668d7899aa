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
        find_strengths(rule, "guidance", 0.0, schedule, &mut strengths);
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

/// The strengths of a resolved rule, by name, and their values at every scale; `off` is the value outside the
/// range of a `During`.
fn find_strengths(
    node: &Node,
    path: &str,
    off: f64,
    schedule: &ScaleSchedule,
    found: &mut BTreeMap<String, Vec<f64>>,
) {
    const NAMES: [&str; 7] = ["Constant", "Ramp", "Linear", "Cosine", "LinearUntil", "List", "During"];
    if node.name().is_some_and(|name| NAMES.contains(&name))
        && let Ok(strength) = node.decode::<Strength>()
    {
        let at = |k| if strength.is_on(k) { strength.at(k, schedule) } else { off };
        let values = (0..schedule.len()).map(at).collect();
        found.insert(path.to_owned(), values);
        return;
    }
    match &node.value {
        Value::Struct { name, fields } => {
            // The weight of CFG is w = 1 + t.
            let of_cfg = matches!(name.as_deref(), Some("Cfg" | "CfgInside"));
            for field in fields {
                let off = if of_cfg && field.name == "weight" { 1.0 } else { 0.0 };
                find_strengths(&field.node, &format!("{path}.{}", field.name), off, schedule, found);
            }
        }
        Value::List(items) | Value::Tuple { items, .. } => {
            for (i, item) in items.iter().enumerate() {
                find_strengths(item, &format!("{path}[{i}]"), 0.0, schedule, found);
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
        let text = "Sum(rules: [Cfg(scale: Ramp(4.0)), Ssg(prior: Dse(), beta: During(1, 1, Constant(0.5))), \
             Cfg(weight: During(1, 1, Constant(3.0))), Cfg(scale: LinearUntil(from: 0.0, to: 4.0, scale: 9))])";
        let node = Document::parse("rule.ron", text).unwrap();
        let mut found = BTreeMap::new();
        find_strengths(&node, "guidance", 0.0, &ScaleSchedule::square(&[1, 2, 4]).unwrap(), &mut found);
        let expected = [
            ("guidance.rules[0].scale".to_owned(), vec![0.0, 2.0, 4.0]),
            ("guidance.rules[1].beta".into(), vec![0.0, 0.5, 0.0]),
            // Off is w = 1: w = 0 would be the unconditional logits.
            ("guidance.rules[2].weight".into(), vec![1.0, 3.0, 1.0]),
            ("guidance.rules[3].scale".into(), vec![0.0, 2.0, 4.0]),
        ];
        assert_eq!(found, BTreeMap::from(expected));
    }
}
