//! The schema of a card, for editors and for programs that write cards.

use nextscale_pipeline::{Registry, registry};
use serde_json::{Map, Value, json};

use super::FIELDS;

/// The JSON Schema, draft 2020-12, of a card, with a run's schema in it.
pub fn schema(registry: &Registry) -> Value {
    let mut run = registry::schema(registry);
    let mut definitions = Map::new();
    if let Value::Object(fields) = &mut run {
        fields.remove("$schema");
        if let Some(Value::Object(own)) = fields.remove("$defs") {
            definitions = own;
        }
    }
    definitions.insert("Run".into(), run);
    let properties: Map<String, Value> =
        FIELDS.iter().map(|&(name, _, about)| (name.to_owned(), field(name, about))).collect();
    let required: Vec<&str> =
        FIELDS.iter().filter(|(_, default, _)| *default == "required").map(|(name, ..)| *name).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A card of nextscale: a published protocol and its numbers",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
        "$defs": definitions,
    })
}

fn field(name: &str, about: &str) -> Value {
    let text = || json!({ "type": "string" });
    let object = |properties: Value, required: &[&str]| json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false });
    let one = |name: &str| object(json!({ name: text() }), &[name]);
    let number = json!({
        "measure": text(),
        "images": { "type": "integer", "minimum": 1 },
        "value": { "type": "number" },
        "tolerance": { "type": "number", "minimum": 0 },
        "note": text(),
    });
    let mut schema = match name {
        "name" | "source" => text(),
        "weights" => json!({ "oneOf": [one("Fingerprint"), one("Sizes")] }),
        "files" => {
            let file = object(json!({ "file": text(), "from": text() }), &["file", "from"]);
            json!({ "type": "array", "items": file })
        }
        "run" => json!({ "$ref": "#/$defs/Run" }),
        "seed" => json!({ "type": "integer", "minimum": 0, "default": 0 }),
        "measures" => json!({ "type": "array", "minItems": 1 }),
        "expect" => {
            let number = object(number, &["measure", "images", "value", "tolerance"]);
            json!({ "type": "array", "items": number, "minItems": 1 })
        }
        "open" => json!({ "type": "array", "items": text() }),
        _ => json!({}),
    };
    schema["description"] = about.into();
    schema
}
