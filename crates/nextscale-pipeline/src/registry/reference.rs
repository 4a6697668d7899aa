//! The reference page of configs: names, settings and defaults come from the registry that reads them.

use std::fmt::{Display, Write as _};

use nextscale_config::Conditions;
use nextscale_config::settings::{Description, Entry, Fallback, Kind};
use nextscale_families::shipped::SHIPPED;
use nextscale_guidance::Strength;

use super::Registry;

/// The fields of a config: name, default, and what it is.
pub(crate) const FIELDS: [(&str, &str, &str); 12] = [
    ("model", "required", "the model, see below"),
    ("condition", "required", "what to show, one condition per image, see below"),
    ("guidance", "this or `variants`", "a guidance rule, see below"),
    (
        "variants",
        "this or `guidance`",
        "several rules that use the same random numbers, `[(\"name\", Rule(..)), ..]`",
    ),
    (
        "guides",
        "none",
        "models of the same tokenizer, scales and conditions that rules read by name, `[(\"weak\", Model(..)), ..]`",
    ),
    ("sampling", "`TopKTopP()`", "a sampler, see below"),
    ("seed", "`0`", "decides all randomness; image i depends on the seed and on i"),
    ("batch", "`8`", "images made at once, at least 1; does not affect the images on a CPU"),
    ("edit", "none", "given tokens to keep, see below"),
    (
        "rounding",
        "`Floor`",
        "how colours become bytes: `Floor`, floor(255·x) as upstream writes images, or `Nearest`, as torchvision's `save_image` does",
    ),
    (
        "npz",
        "`false`",
        "whether to write all images to `images.npz` too, as the evaluator of OpenAI's guided-diffusion (ADM) reads them",
    ),
    (
        "trace",
        "all",
        "what `--trace FILE` keeps: `(scales: [0, 5], images: [0, 1], fields: [Guided, Tokens], dtype: f16)`; fields are `Logits`, \
         `Prior`, `Guided`, `Tokens`, `Canvas` and `Images`; a trace is written only with `--trace FILE`",
    ),
];

pub(crate) const EDITS: [(&str, &str); 5] = [
    (
        "Keep(image: \"a.png\", rows: (0.0, 0.5), columns: (0.0, 1.0))",
        "the box keeps the given image, the rest is generated",
    ),
    (
        "Paint(image: \"a.png\", rows: (0.0, 0.5), columns: (0.0, 1.0))",
        "the box is generated, the rest keeps the given image",
    ),
    (
        "Paint(images: [\"a.png\", \"b.png\"], boxes: [(rows: (0.0, 0.5), columns: (0.0, 1.0))])",
        "several given images, image i of the run editing given image i modulo their number; several boxes",
    ),
    (
        "Keep(image: \"a.png\", rows: (0.0, 0.5), columns: (0.0, 1.0), tokens: Requantised, paste: true)",
        "with tokens that follow the canvas, and given pixels over the kept part of the finished image; by default `Encoded` \
         and `false`",
    ),
    (
        "Paint(image: \"a.jpg\", rows: (0.0, 0.5), columns: (0.0, 1.0), resize: true)",
        "a given image of another size, resized until it covers the model's images, and its middle kept",
    ),
];

/// What an edit keeps, and what it does not.
const KEPT: &str = "\nThe kept part passes through the tokenizer and changes a little. `tokens: Encoded` keeps the given image's tokens; \
`Requantised` chooses at every scale the tokens nearest to the difference between the given image and the canvas so far. \
`paste: true` pastes the given pixels over the kept part, which leaves a seam. A run prints how much is lost. \
[Why the kept part changes](editing.md#why-does-the-kept-part-change) compares the settings.\n";

/// The page, in Markdown.
pub fn markdown(registry: &Registry) -> String {
    let mut page = String::from(
        "# Configs\n\n<!-- Made from the registry: NEXTSCALE_UPDATE_DOCS=1 cargo test -p nextscale --test docs -->\n\n\
         A config is a RON file. Paths in it are relative to its folder. `nextscale init` writes one with comments, \
         `nextscale list` prints the names below, and `--set PATH=VALUE` changes a value from the command line, as in \
         `--set guidance.beta=0.3`; `None` switches an optional block off, as in `--set edit=None`.\n\n## Fields\n\n| field | default | what it is |\n|---|---|---|\n",
    );
    for (name, default, about) in FIELDS {
        let _ = writeln!(page, "| `{name}` | {default} | {} |", cell(about));
    }
    page += "\n## Models\n\n";
    list(&mut page, &models(registry));
    let shipped = SHIPPED.iter().map(|model| format!("- `{}`: {}\n", model.name, model.about));
    page += &format!("\nShipped models:\n\n{}", shipped.collect::<String>());
    let published = registry.published().map(|(family, model)| {
        format!("- `{family}({:?})`: {} pixels, {}\n", model.name, model.images, model.licence)
    });
    page += &format!(
        "\nPublished models, which are downloaded once ([Models by name](models-by-name.md)):\n\n{}",
        published.collect::<String>()
    );
    page += "\nWherever a config names a model's file you can give its address in a repository instead: \
             `\"hf://owner/name/file\"`, or `\"hf://owner/name@revision/file\"`.\n";
    page += "\n## Conditions\n\n";
    list(&mut page, &Conditions::FORMS);
    page += "\n## Edits\n\nRows and columns are fractions of the image, from 0 to 1.\n\n";
    list(&mut page, &EDITS);
    page += KEPT;
    page += "\n## Guidance rules\n\nRules nest: any of these can be used wherever a rule is expected.\n";
    sections(&mut page, registry.rules());
    page += "\n## Priors\n";
    sections(&mut page, registry.priors());
    page += "\n## Samplers\n";
    sections(&mut page, registry.samplers());
    page += "\n## Strengths over scales\n\nAny of these can be used wherever a strength is expected; K is the number of \
             scales, k the scale from 0, and x = k/(K-1).\n\n";
    list(&mut page, &Strength::FORMS);
    page
}

/// How a config's `model` can be written, and what each form means.
fn models(registry: &Registry) -> Vec<(&'static str, String)> {
    let form = |entry: &Entry<_>| {
        let Description { example, settings, .. } = &entry.description;
        let optional = settings.iter().filter(|setting| setting.fallback != Fallback::MustBeGiven);
        let told: Vec<_> = optional.map(|told| format!("`{}`, {}", told.name, told.phrase())).collect();
        let about = entry.description.phrase();
        (*example, if told.is_empty() { about } else { format!("{about}. Optional: {}", told.join("; ")) })
    };
    registry.models().iter().map(form).collect()
}

/// Everything of a kind: what it is, how it is written, and its settings.
fn sections<K: Kind + ?Sized>(page: &mut String, entries: &[Entry<K>]) {
    for Description { name, about, example, settings, also } in entries.iter().map(|entry| &entry.description)
    {
        let _ = write!(page, "\n### {name}\n\n{about}\n\n```ron\n{example}\n```\n");
        if !also.is_empty() {
            *page += "\nOr:\n\n";
            let forms: Vec<_> = also.iter().map(|form| (form.example, form.about)).collect();
            list(page, &forms);
        }
        if settings.is_empty() {
            continue;
        }
        *page += "\n| setting | default | what it is |\n|---|---|---|\n";
        for setting in settings {
            let default = match &setting.fallback {
                Fallback::MustBeGiven => "required".into(),
                Fallback::Nothing => "none".into(),
                Fallback::Value(text) => format!("`{text}`"),
            };
            let _ =
                writeln!(page, "| `{}` | {} | {} |", setting.name, cell(&default), cell(&setting.phrase()));
        }
    }
}

fn list(page: &mut String, items: &[(&str, impl Display)]) {
    for (form, about) in items {
        let form = if form.contains(['(', '"']) { format!("`{form}`") } else { (*form).into() };
        let _ = writeln!(page, "- {form}: {about}");
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Error};
    use nextscale_config::Document;
    use std::path::Path;

    /// The names between backquotes in "allowed: `a`, `b`".
    fn allowed(error: Error) -> Vec<String> {
        let Error::Config(error) = error else { panic!("{error}: no place") };
        let help = error.help_text().unwrap_or_default();
        let list = help.split_once("allowed: ").map_or("", |(_, list)| list);
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
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
        for (form, _) in models(&Registry::standard()) {
            for (condition, _) in Conditions::FORMS {
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
