//! Schemas of configs, for editors and for programs that write configs.
//!
//! RON is not JSON, and a schema describes JSON: the form that serde has. [`to_json`] converts a tree.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value as Json, json};

use super::{Description, Fallback, Kind, Names, Setting};
use crate::{Document, Node, Value};

/// The schema of a value that serde reads.
pub fn leaf<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The schema of a nested setting: a reference to that of its kind.
pub fn nested<K: Kind + ?Sized>(_: &mut SchemaGenerator) -> Schema {
    schema(reference::<K>())
}

/// The schema of a list of nested settings.
pub fn list<K: Kind + ?Sized>(_: &mut SchemaGenerator) -> Schema {
    schema(json!({ "type": "array", "items": reference::<K>() }))
}

/// A reference to the schema of a kind.
pub fn reference<K: Kind + ?Sized>() -> Json {
    json!({ "$ref": format!("#/$defs/{}", K::SCHEMA) })
}

/// A generator that puts definitions under `$defs`.
pub fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12().with_transform(RecursiveTransform(first_paragraph)).into_generator()
}

/// Keeps the first paragraph of a type's doc comment; the rest is for readers of the source.
fn first_paragraph(schema: &mut Schema) {
    if let Some(Json::String(text)) = schema.get_mut("description")
        && let Some((first, _)) = text.split_once("\n\n")
    {
        *text = first.into();
    }
}

/// The schema of a kind: one of its names, with its settings.
pub fn kind<K: Kind + ?Sized>(names: &Names, generator: &mut SchemaGenerator) -> Json {
    let things = names.entries::<K>().iter().flat_map(|entry| thing(&entry.description, generator));
    let title = K::NAME;
    json!({ "title": title, "oneOf": things.collect::<Vec<_>>() })
}

/// `Name(setting: ..)`, and `Name` if nothing is required.
fn thing(description: &Description, generator: &mut SchemaGenerator) -> Vec<Json> {
    let Description { name, about, example, settings, also } = description;
    let of_forms = also.iter().map(|form| {
        let about = format!("{}\n\n{}", form.about, form.example);
        named(name, &about, (form.schema)(generator).to_value())
    });
    let mut forms: Vec<Json> = of_forms.collect();
    let about = format!("{about}\n\n{example}");
    if let Some(item) = description.item() {
        forms.push(named(name, &about, setting(item, generator)));
    } else if !settings.is_empty() {
        let properties: Map<String, Json> =
            settings.iter().map(|told| (told.name.to_owned(), setting(told, generator))).collect();
        let must = settings.iter().filter(|setting| setting.fallback == Fallback::MustBeGiven);
        let required: Vec<&str> = must.map(|setting| setting.name).collect();
        let fields = json!({
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        forms.push(named(name, &about, fields));
    }
    if description.stands_alone() {
        forms.push(json!({ "title": name, "description": about, "const": name }));
    }
    forms
}

/// `Name(..)`, with the content of the parentheses.
fn named(name: &str, about: &str, inside: Json) -> Json {
    json!({
        "title": name,
        "description": about,
        "type": "object",
        "properties": { name: inside },
        "required": [name],
        "additionalProperties": false,
    })
}

fn setting(setting: &Setting, generator: &mut SchemaGenerator) -> Json {
    let given = (setting.schema)(generator).to_value();
    let mut told = Map::new();
    told.insert("description".into(), setting.about.into());
    if let Fallback::Value(text) = &setting.fallback
        && let Ok(default) = Document::parse(setting.name, text)
    {
        told.insert("default".into(), to_json(&default));
    }
    match (given, &setting.fallback) {
        // `None` may be written out.
        (given, Fallback::Nothing) => {
            told.insert("anyOf".into(), json!([given, { "type": "null" }]));
        }
        (Json::Object(given), _) => {
            for (key, value) in given {
                told.entry(key).or_insert(value);
            }
        }
        // `true`: anything.
        (_, _) => {}
    }
    Json::Object(told)
}

fn schema(value: Json) -> Schema {
    // Only values that are neither an object nor a boolean are refused.
    Schema::try_from(value).unwrap_or_default()
}

/// A tree as JSON, in serde's form of enums: `Name(a: 1)` is `{"Name": {"a": 1}}`, `Name(1)` is `{"Name":
/// 1}`, `Name(1, 2)` is `{"Name": [1, 2]}`, `Name` is `"Name"`, `(a: 1)` is `{"a": 1}`, `(1, 2)` is `[1, 2]`,
/// `None` and `()` are `null`, and `Some(1)` is `1`.
pub fn to_json(node: &Node) -> Json {
    let tuple = |items: &[Node]| match items {
        [item] => to_json(item),
        items => items.iter().map(to_json).collect(),
    };
    match &node.value {
        Value::Unit => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => serde_json::to_value(value).unwrap_or_else(|_| value.to_string().into()),
        Value::Float(value) => (*value).into(),
        Value::Char(value) => value.to_string().into(),
        Value::Str(value) => value.as_str().into(),
        Value::Ident(name) if name == "None" => Json::Null,
        Value::Ident(name) => name.as_str().into(),
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Map(entries) => {
            let key = |key: &Node| match to_json(key) {
                Json::String(text) => text,
                other => other.to_string(),
            };
            entries.iter().map(|(name, value)| (key(name), to_json(value))).collect()
        }
        Value::Tuple { name: None, items } => items.iter().map(to_json).collect(),
        Value::Tuple { name: Some(name), items } if name == "Some" => tuple(items),
        Value::Tuple { name: Some(name), items } if items.is_empty() => json!({ name.as_str(): {} }),
        Value::Tuple { name: Some(name), items } => json!({ name.as_str(): tuple(items) }),
        Value::Struct { name, fields } => {
            let fields: Map<String, Json> =
                fields.iter().map(|field| (field.name.clone(), to_json(&field.node))).collect();
            match name {
                Some(name) => json!({ name.as_str(): fields }),
                None => fields.into(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A band of frequencies.
    ///
    /// Kept on the device between scales.
    #[derive(JsonSchema)]
    struct Band {
        /// From here.
        ///
        /// A detail of the source.
        #[allow(dead_code)]
        low: f64,
    }

    #[test]
    fn descriptions_are_the_first_paragraphs_of_comments() {
        let mut generator = generator();
        generator.subschema_for::<Band>();
        let band = generator.take_definitions(true)["Band"].clone();
        assert_eq!(band["description"], "A band of frequencies.");
        assert_eq!(band["properties"]["low"]["description"], "From here.");
    }

    #[test]
    fn a_tree_is_json_as_serde_writes_enums() {
        let cases = [
            ("Conditional", json!("Conditional")),
            ("Dse()", json!({ "Dse": {} })),
            ("Cfg(scale: Ramp(1.5))", json!({ "Cfg": { "scale": { "Ramp": 1.5 } } })),
            ("During(1, 2, 0.5)", json!({ "During": [1, 2, 0.5] })),
            ("[(\"a\", Null), (b: None, c: Some(true))]", json!([["a", "Null"], { "b": null, "c": true }])),
            ("{\"guidance.beta\": 'x', 3: ()}", json!({ "guidance.beta": "x", "3": null })),
        ];
        for (text, expected) in cases {
            assert_eq!(to_json(&Document::parse("a.ron", text).unwrap()), expected, "{text}");
        }
    }
}
