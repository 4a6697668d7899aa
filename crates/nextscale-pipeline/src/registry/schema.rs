//! The schema of a config, for editors and for programs that write configs; rules, priors, samplers and
//! models come from the registry.

use nextscale_config::Conditions;
use nextscale_config::settings::schema::{generator, kind, reference};
use nextscale_families::ModelSource;
use nextscale_guidance::Guidance;
use nextscale_priors::Prior;
use serde_json::{Map, Value, json};

use super::Registry;
use super::reference::{EDITS, FIELDS};
use crate::trace_spec::TraceField;
use nextscale_generate::sampler::Sampler;

/// The JSON Schema, draft 2020-12, of a run's config in the form of
/// [`to_json`](nextscale_config::settings::schema::to_json).
pub fn schema(registry: &Registry) -> Value {
    let names = registry.names();
    let mut generator = generator();
    let kinds = [
        ("Rule", kind::<dyn Guidance>(names, &mut generator)),
        ("Prior", kind::<dyn Prior>(names, &mut generator)),
        ("Sampler", kind::<dyn Sampler>(names, &mut generator)),
        ("Model", models(registry, kind::<dyn ModelSource>(names, &mut generator))),
    ];
    let mut definitions = generator.take_definitions(true);
    definitions.extend(kinds.map(|(name, schema)| (name.to_owned(), schema)));
    let properties: Map<String, Value> =
        FIELDS.iter().map(|&(name, _, about)| (name.to_owned(), field(name, about))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A run of nextscale",
        "type": "object",
        "properties": properties,
        "required": ["model", "condition"],
        "oneOf": [{ "required": ["guidance"] }, { "required": ["variants"] }],
        "additionalProperties": false,
        "$defs": definitions,
    })
}

/// The models, and the short names of those that were published.
fn models(registry: &Registry, mut kind: Value) -> Value {
    for family in registry.families().filter(|family| !family.published().is_empty()) {
        let name = family.entry().description.name;
        let names: Vec<&str> = family.published().iter().map(|model| model.name).collect();
        if let Some(forms) = kind["oneOf"].as_array_mut() {
            forms.push(json!({
                "title": name,
                "description": format!("A published model, downloaded once.\n\n{name}({:?})", names[0]),
                "type": "object",
                "properties": { name: { "enum": names } },
                "required": [name],
                "additionalProperties": false,
            }));
        }
    }
    kind
}

/// A field of a config.
fn field(name: &str, about: &str) -> Value {
    let variant = json!({
        "type": "array",
        "prefixItems": [{ "type": "string", "description": "Its name." }, reference::<dyn Guidance>()],
        "items": false,
        "minItems": 2,
    });
    let guide = json!({
        "type": "array",
        "prefixItems": [{ "type": "string", "description": "Its name." }, reference::<dyn ModelSource>()],
        "items": false,
        "minItems": 2,
    });
    let mut schema = match name {
        "model" => reference::<dyn ModelSource>(),
        "condition" => forms(&Conditions::FORMS),
        "edit" => forms(&EDITS),
        "guidance" => reference::<dyn Guidance>(),
        "variants" => json!({ "type": "array", "items": variant, "minItems": 1 }),
        "guides" => json!({ "type": "array", "items": guide }),
        "sampling" => {
            let mut sampler = reference::<dyn Sampler>();
            sampler["default"] = json!({ "TopKTopP": {} });
            sampler
        }
        "seed" => json!({ "type": "integer", "minimum": 0, "default": 0 }),
        "batch" => json!({ "type": "integer", "minimum": 1, "default": 8 }),
        "rounding" => json!({ "enum": ["Floor", "Nearest"], "default": "Floor" }),
        "npz" => json!({ "type": "boolean", "default": false }),
        "trace" => json!({
            "type": "object",
            "properties": {
                "scales": { "type": "array", "items": { "type": "integer", "minimum": 0 } },
                "images": { "type": "array", "items": { "type": "integer", "minimum": 0 } },
                "fields": { "type": "array", "items": { "enum": TraceField::ALL } },
                "dtype": { "enum": ["f32", "f16"], "default": "f32" },
            },
            "additionalProperties": false,
        }),
        _ => json!({}),
    };
    schema["description"] = about.replace(", see below", "").into();
    schema
}

/// One of several names, each with its text from the reference.
fn forms(forms: &[(&str, &str)]) -> Value {
    let form = |(form, about): &(&str, &str)| {
        let name = form.split('(').next().unwrap_or(form);
        let described = format!("{about}\n\n{form}");
        json!({
            "title": name,
            "description": described,
            "type": "object",
            "properties": { name: {} },
            "required": [name],
            "additionalProperties": false,
        })
    };
    // `Null` is also written without parentheses.
    let bare = forms.iter().filter(|(_, about)| about.contains("`Null`")).map(|_| json!({ "const": "Null" }));
    json!({ "oneOf": forms.iter().map(form).chain(bare).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nextscale_config::settings::Entry;
    use nextscale_families::{Shipped, VarFamily};
    use nextscale_generate::sampler::TopKTopP;
    use nextscale_guidance::{Conditional, Ssg};
    use nextscale_priors::Dse;
    use std::sync::Arc;

    #[test]
    fn a_schema_tells_names_settings_defaults_and_help() {
        let registry = Registry::new()
            .with_rule::<Conditional>()
            .with_rule::<Ssg>()
            .with_prior::<Dse>()
            .with_sampler::<TopKTopP>()
            .with_family(VarFamily)
            .with(Entry::of(|model: Shipped| Arc::new(model) as Arc<dyn ModelSource>));
        insta::assert_snapshot!(format!("{:#}", schema(&registry)));
    }
}
