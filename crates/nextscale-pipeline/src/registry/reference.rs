//! The reference of configs as a page: names, settings and defaults come from the registry that reads them.

use std::fmt::Write as _;

use nextscale_config::{Document, Node, Value};
use nextscale_guidance::Strength;

use super::{Described, Registry};
use crate::{Result, shipped};

/// The fields of a config: name, default, and what it is.
pub(crate) const FIELDS: [(&str, &str, &str); 9] = [
    ("model", "must be given", "the model, see below"),
    ("condition", "must be given", "what to show, one condition an image, see below"),
    ("guidance", "this or `variants`", "a guidance rule, see below"),
    (
        "variants",
        "this or `guidance`",
        "several rules that get the same random numbers, `[(\"name\", Rule(..)), ..]`",
    ),
    ("sampling", "`TopKTopP()`", "a sampler, see below"),
    ("seed", "`0`", "decides all randomness; image i depends on the seed and on i"),
    ("batch", "`8`", "images made at once, at least 1; it changes no image"),
    ("edit", "none", "given tokens to keep, see below"),
    ("npz", "`false`", "whether to write `images.npz` too, as evaluators of ImageNet models read it"),
];

const MODELS: [(&str, &str); 2] = [
    ("Shipped(\"name\")", "a model that is part of the program"),
    (
        "Var(tokenizer: \"a.pth\", backbone: \"b.pth\")",
        "VAR's own files, or ones in their form. Optional: `scales: [1, 2, (3, 4)]`, sides or (height, width), by default what \
         the files say or else the published list with as many positions; `norm_groups`, by default what the file says or else \
         32",
    ),
];

const CONDITIONS: [(&str, &str); 4] = [
    ("Labels([207, 360])", "one image a label, from 0"),
    ("Names([\"ship\"])", "one image a class name, for models that have names"),
    ("PerClass(50)", "so many images of every class, class by class"),
    ("Null(8)", "so many images of the unconditional model; `Null` is one"),
];

const EDITS: [(&str, &str); 2] = [
    (
        "Keep(image: \"a.png\", rows: (0.0, 0.5), columns: (0.0, 1.0))",
        "the box keeps the given image, the rest is generated",
    ),
    (
        "Paint(image: \"a.png\", rows: (0.0, 0.5), columns: (0.0, 1.0))",
        "the box is generated, the rest keeps the given image",
    ),
];

/// The page, in Markdown.
///
/// # Errors
/// If an example of the registry is no RON.
pub fn markdown(registry: &Registry) -> Result<String> {
    let mut page = String::from(
        "# Configs\n\n<!-- Made from the registry: NEXTSCALE_UPDATE_DOCS=1 cargo test -p nextscale --test docs -->\n\n\
         A config is a RON file. Paths in it are relative to its folder. `nextscale init` writes one with comments, \
         `nextscale list` prints the names below, and `--set PATH=VALUE` changes a value from the command line, as in \
         `--set guidance.beta=0.3`.\n\n## Fields\n\n| field | default | what it is |\n|---|---|---|\n",
    );
    for (name, default, about) in FIELDS {
        let _ = writeln!(page, "| `{name}` | {default} | {} |", cell(about));
    }
    page += "\n## Models\n\n";
    list(&mut page, &MODELS);
    let shipped = shipped::SHIPPED.iter().map(|model| format!("- `{}`: {}\n", model.name, model.about));
    page += &format!("\nShipped models:\n\n{}", shipped.collect::<String>());
    page += "\n## Conditions\n\n";
    list(&mut page, &CONDITIONS);
    page += "\n## Edits\n\nRows and columns are fractions of the image, from 0 to 1.\n\n";
    list(&mut page, &EDITS);
    page += "\n## Guidance rules\n\nRules nest: where a rule is asked for, any of these may stand. \
             In the tables below a dash is what the example gives.\n";
    for entry in registry.rules() {
        let resolved = |node: &Node| registry.rule(node).map(|built| built.resolved);
        section(&mut page, (&entry.name, &entry.about), entry.example.as_deref(), &entry.settings, resolved)?;
    }
    page += "\n## Priors\n";
    for entry in registry.priors() {
        let resolved = |node: &Node| registry.prior(node).map(|built| built.resolved);
        section(&mut page, (&entry.name, &entry.about), entry.example.as_deref(), &entry.settings, resolved)?;
    }
    page += "\n## Samplers\n";
    for entry in registry.samplers() {
        let resolved = |node: &Node| registry.sampler(node).map(|built| built.resolved);
        section(&mut page, (&entry.name, &entry.about), entry.example.as_deref(), &entry.settings, resolved)?;
    }
    page += "\n## Strengths over scales\n\nWhere a strength is asked for, any of these may stand; K is the number of \
             scales, k the scale from 0, and x = k/(K-1).\n\n";
    list(&mut page, &Strength::FORMS);
    Ok(page)
}

/// A thing: what it is, how it is written, and its settings.
fn section(
    page: &mut String,
    (name, about): (&str, &str),
    example: Option<&str>,
    settings: &[Described],
    resolved: impl Fn(&Node) -> Result<Node>,
) -> Result<()> {
    let _ = write!(page, "\n### {name}\n\n{}\n", capital(about));
    let Some(example) = example else { return Ok(()) };
    let given = Document::parse(name, example)?;
    // One that needs a file cannot be built here; it has no defaults to tell.
    let resolved = resolved(&given).unwrap_or_else(|_| given.clone());
    let _ = write!(page, "\n```ron\n{given}\n```\n");
    if settings.is_empty() {
        return Ok(());
    }
    *page += "\n| setting | default | what it is |\n|---|---|---|\n";
    for setting in settings {
        let default = match (field(&given, &setting.name), field(&resolved, &setting.name)) {
            (Some(_), _) => "–".into(),
            (None, Some(default)) => format!("`{default}`"),
            (None, None) => "none".into(),
        };
        let _ = writeln!(page, "| `{}` | {} | {} |", setting.name, cell(&default), cell(&setting.about));
    }
    Ok(())
}

fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    match &node.value {
        Value::Struct { fields, .. } => {
            fields.iter().find(|field| field.name == name).map(|field| &field.node)
        }
        _ => None,
    }
}

fn list(page: &mut String, items: &[(&str, &str)]) {
    for (form, about) in items {
        let form = if form.contains(['(', '"']) { format!("`{form}`") } else { (*form).into() };
        let _ = writeln!(page, "- {form}: {about}");
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).chain(['.']).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Error};
    use std::path::Path;

    /// The names between backquotes in "allowed: `a`, `b`".
    fn allowed(error: Error) -> Vec<String> {
        let Error::Config(error) = error else { panic!("{error}: no place") };
        let help = error.help_text().unwrap_or_default();
        let list = help.split_once("allowed: ").map_or("", |(_, list)| list);
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn the_settings_told_are_those_that_are_read() {
        let registry = Registry::standard();
        let with_unknown = |example: &str| {
            let text = match example.strip_suffix(')') {
                Some(open) if open.ends_with('(') => format!("{open}nonsense: 0)"),
                Some(open) => format!("{open}, nonsense: 0)"),
                None => format!("{example}(nonsense: 0)"),
            };
            Document::parse("example.ron", &text).unwrap()
        };
        let check = |name: &str,
                     example: &Option<String>,
                     settings: &[Described],
                     refused: &dyn Fn(&Node) -> Error| {
            let example = example.as_ref().unwrap_or_else(|| panic!("{name} has no example"));
            let told: Vec<&str> = settings.iter().map(|setting| &*setting.name).collect();
            assert_eq!(allowed(refused(&with_unknown(example))), told, "{name}");
        };
        for entry in registry.rules() {
            check(&entry.name, &entry.example, &entry.settings, &|node| registry.rule(node).unwrap_err());
            registry.rule(&Document::parse("a.ron", entry.example.as_ref().unwrap()).unwrap()).unwrap();
        }
        for entry in registry.priors().filter(|entry| entry.name != "Marginal") {
            check(&entry.name, &entry.example, &entry.settings, &|node| registry.prior(node).unwrap_err());
            registry.prior(&Document::parse("a.ron", entry.example.as_ref().unwrap()).unwrap()).unwrap();
        }
        for entry in registry.samplers() {
            check(&entry.name, &entry.example, &entry.settings, &|node| registry.sampler(node).unwrap_err());
        }
    }

    #[test]
    fn the_fields_told_are_those_that_are_read() {
        let text = "(model: Shipped(\"cifar10\"), condition: Null, guidance: Conditional, nonsense: 0)";
        let node = Document::parse("run.ron", text).unwrap();
        let read = allowed(Config::from_node(&node, Path::new(""), &Registry::standard()).unwrap_err());
        assert_eq!(read, FIELDS.map(|(name, ..)| name));
    }

    #[test]
    fn the_ways_to_write_a_thing_are_read() {
        for (form, _) in MODELS {
            for (condition, _) in CONDITIONS {
                for (edit, _) in EDITS {
                    let text = format!(
                        "(model: {form}, condition: {condition}, guidance: Conditional, edit: {edit})"
                    );
                    let text = text.replace("\"name\"", "\"cifar10\"");
                    let node = Document::parse("run.ron", &text).unwrap();
                    Config::from_node(&node, Path::new(""), &Registry::standard()).unwrap();
                }
            }
        }
    }
}
