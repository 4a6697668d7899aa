//! The output of `nextscale schema` accepts the configs that the program accepts, and refuses what it
//! refuses.

use std::path::Path;

use nextscale::config::{Document, Node};
use nextscale::pipeline::{Registry, registry};
use nextscale::settings::schema::to_json;
use serde_json::{Value, json};

#[path = "../examples/disagreement_rule.rs"]
#[allow(dead_code)] // its main is not run
mod disagreement_rule;

/// Whether a value satisfies a schema, for the keywords that ours use; any other keyword fails the test.
fn valid(root: &Value, schema: &Value, value: &Value) -> bool {
    let Value::Object(keywords) = schema else { return schema == &Value::Bool(true) };
    let list = |keyword: &Value| keyword.as_array().unwrap().clone();
    let among = |keyword: &Value| list(keyword).iter().filter(|schema| valid(root, schema, value)).count();
    keywords.iter().all(|(keyword, given)| match keyword.as_str() {
        "$schema" | "$defs" | "title" | "description" | "default" | "format" => true,
        "$ref" => {
            let place = given.as_str().unwrap().strip_prefix('#').unwrap();
            valid(root, root.pointer(place).unwrap(), value)
        }
        "oneOf" => among(given) == 1,
        "anyOf" => among(given) > 0,
        "const" => given == value,
        "enum" => list(given).contains(value),
        "type" => match given.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "number" => value.is_number(),
            "integer" => value.is_i64() || value.is_u64(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            other => panic!("type {other}"),
        },
        "minimum" => value.as_f64().is_none_or(|value| value >= given.as_f64().unwrap()),
        "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= given.as_u64().unwrap()),
        "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= given.as_u64().unwrap()),
        "prefixItems" => value.as_array().is_none_or(|items| {
            items.iter().zip(list(given)).all(|(item, schema)| valid(root, &schema, item))
        }),
        "items" => {
            let before = keywords.get("prefixItems").map_or(0, |first| list(first).len());
            let rest = |items: &Vec<Value>| items.iter().skip(before).all(|item| valid(root, given, item));
            value.as_array().is_none_or(rest)
        }
        "properties" => value.as_object().is_none_or(|fields| {
            given
                .as_object()
                .unwrap()
                .iter()
                .all(|(name, schema)| fields.get(name).is_none_or(|field| valid(root, schema, field)))
        }),
        "additionalProperties" => {
            let known = keywords.get("properties").and_then(Value::as_object);
            let known = |name: &String| known.is_some_and(|known| known.contains_key(name));
            value.as_object().is_none_or(|fields| *given == json!(true) || fields.keys().all(known))
        }
        "required" => value
            .as_object()
            .is_none_or(|fields| list(given).iter().all(|name| fields.contains_key(name.as_str().unwrap()))),
        other => panic!("keyword {other}"),
    })
}

fn read(name: &str) -> Node {
    Document::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// A run with one rule, in RON.
fn under(rule: &str) -> Value {
    let text = format!("(model: Shipped(\"cifar10\"), condition: Null, guidance: {rule})");
    to_json(&Document::parse("run.ron", &text).unwrap())
}

#[test]
fn configs_that_come_with_the_program_fit_the_schema() {
    let schema = registry::schema(&Registry::standard());
    for name in
        ["quickstart.ron", "template.ron", "guidance-rules.ron", "calibrate-cifar10.ron", "var-d16.ron"]
    {
        assert!(valid(&schema, &schema, &to_json(&read(&format!("configs/{name}")))), "{name}");
    }
}

#[test]
fn examples_and_what_they_resolve_to_fit_the_schema() {
    let registry = Registry::standard();
    let schema = registry::schema(&registry);
    for entry in registry.rules() {
        let resolved = registry.rule(&entry.example().unwrap()).unwrap().resolved.to_ron_string();
        for rule in [entry.description.example, &resolved] {
            assert!(valid(&schema, &schema, &under(rule)), "{rule}");
        }
    }
    for entry in registry.priors() {
        let also = entry.description.also.iter().map(|form| form.example);
        for prior in [entry.description.example].into_iter().chain(also) {
            let rule = format!("Ssg(prior: {prior}, beta: During(1, 2, List([0.5, 1])))");
            assert!(valid(&schema, &schema, &under(&rule)), "{rule}");
        }
    }
    assert!(valid(&schema, &schema, &under("Ssg(prior: Marginal(Shipped(\"cifar10\")), beta: 1)")));
}

#[test]
fn what_the_program_refuses_does_not_fit_the_schema() {
    let registry = Registry::standard();
    let schema = registry::schema(&registry);
    let mistakes = [
        "Sgs(prior: Dse(), beta: 1)",
        "Ssg(prior: Dse())",
        "Ssg(prior: Dsee(), beta: 1)",
        "Ssg(prior: Dse(), beta: 1, betta: 1)",
        "Ssg(prior: Dse(interpolation: Cubic), beta: 1)",
        "Ssg(prior: Dse(), beta: \"strong\")",
        "Ssg(prior: Marginal(Shipped(10)), beta: 1)",
        "Ssg(prior: Marginal(Found(\"cifar10\")), beta: 1)",
        "Ssg(prior: Dse(), beta: Ramp(from: 1))",
        "Sum(rules: Conditional)",
        "Ssg",
    ];
    for rule in mistakes {
        assert!(registry.rule(&Document::parse("a.ron", rule).unwrap()).is_err(), "{rule}");
        assert!(!valid(&schema, &schema, &under(rule)), "{rule}");
    }
    let mut both = under("Conditional");
    both["variants"] = json!([["a", "Conditional"]]);
    assert!(!valid(&schema, &schema, &both));
}

#[test]
fn a_rule_of_ones_own_is_in_the_schema_of_its_program() {
    let schema = registry::schema(&disagreement_rule::registry());
    assert!(valid(&schema, &schema, &to_json(&read("examples/disagreement.ron"))));
    let standard = registry::schema(&Registry::standard());
    assert!(!valid(&standard, &standard, &to_json(&read("examples/disagreement.ron"))));
}
