use std::collections::HashMap;
use std::path::Path;

use nextscale_config::{Conditions, Item, Negatives, Node};
use nextscale_core::{Condition, memory};
use nextscale_families::Takes;
use nextscale_text::{Error as TextError, read_prompts};
use serde::Serialize;

use crate::{Error, Result};

/// A lower bound on the memory that an image takes before it is generated: its condition, its number and its
/// file's name.
const LISTED: u128 = 128;

/// The requested images.
pub(crate) struct Asked {
    /// One condition per image.
    pub conditions: Vec<Condition>,
    /// The same in config notation, without other files.
    pub resolved: Node,
}

/// The conditions that a config in `folder` asks for, image by image, for a model that takes these.
pub(super) fn read(node: &Node, takes: &Takes, folder: &Path) -> Result<Asked> {
    if let Conditions::PromptFile { file, negative } = Conditions::read(node)?
        && takes.prompts
    {
        let texts = read_prompts(folder.join(&file.value)).map_err(|error| match error {
            TextError::PromptFile { .. } => Error::from(file.node.error(error.to_string())),
            other => other.into(),
        })?;
        return of_file(texts, &negative);
    }
    Ok(Asked { conditions: written(node, takes)?, resolved: node.clone() })
}

/// The prompts of a file.
fn of_file(texts: Vec<String>, negative: &Negatives<'_>) -> Result<Asked> {
    #[derive(Serialize)]
    #[serde(rename = "Condition")]
    enum Written<'a> {
        Prompts { texts: &'a [String], negative: &'a str },
    }
    #[derive(Serialize)]
    #[serde(rename = "Condition")]
    enum Each<'a> {
        Prompts { texts: &'a [String], negative: &'a [String] },
    }
    #[derive(Serialize)]
    #[serde(rename = "Condition")]
    enum Plain<'a> {
        Prompts(&'a [String]),
    }
    let each = negative.of_each(texts.len())?;
    let resolved = match negative {
        Negatives::None => Node::from_serialize(&Plain::Prompts(&texts))?,
        Negatives::All(negative) => {
            Node::from_serialize(&Written::Prompts { texts: &texts, negative: &negative.value })?
        }
        Negatives::Each(..) => {
            let each: Vec<String> = each.iter().flatten().cloned().collect();
            Node::from_serialize(&Each::Prompts { texts: &texts, negative: &each })?
        }
    };
    let conditions = texts.into_iter().zip(each).map(|(text, negative)| prompt(text, negative)).collect();
    Ok(Asked { conditions, resolved })
}

fn prompt(text: String, negative: Option<String>) -> Condition {
    let shown = Condition::Prompt(text);
    match negative {
        Some(negative) => shown.avoiding(Condition::Prompt(negative)),
        None => shown,
    }
}

/// The conditions in the config itself, image by image.
fn written(node: &Node, takes: &Takes) -> Result<Vec<Condition>> {
    let (classes, names) = (takes.classes, takes.class_names.as_deref());
    let last = classes.saturating_sub(1);
    let asked = Conditions::read(node)?;
    let prompts = matches!(&asked, Conditions::Prompts { .. } | Conditions::PromptFile { .. });
    if prompts && !takes.prompts {
        let help = format!("give labels from 0 to {last}, as in Labels([0]), or Null");
        return Err(node.error("the model takes no texts").with_help(help).into());
    }
    if !prompts && classes == 0 && !matches!(&asked, Conditions::Null(_)) {
        let help = "give texts, as in Prompts([\"a red truck\"]), or Null";
        return Err(node.error("the model takes no classes").with_help(help).into());
    }
    match asked {
        Conditions::Labels(labels) => {
            let class = |Item { value, node }: &Item<'_, i64>| {
                usize::try_from(*value)
                    .ok()
                    .filter(|&label| label < classes)
                    .map(Condition::Class)
                    .ok_or_else(|| {
                        let error = node.error(format!("label {value} is out of range"));
                        error.with_help(format!("the model has {classes} classes: 0 to {last}")).into()
                    })
            };
            labels.iter().map(class).collect()
        }
        Conditions::Names(asked) => {
            let Some(names) = names else {
                let error = node.error("the model has no class names");
                return Err(error.with_help(format!("give labels from 0 to {last}")).into());
            };
            // The first of equal names counts.
            let index: HashMap<&str, usize> =
                names.iter().enumerate().rev().map(|(class, name)| (name.as_str(), class)).collect();
            let class = |Item { value, node }: &Item<'_, String>| {
                index.get(value.as_str()).copied().map(Condition::Class).ok_or_else(|| {
                    let error = node.error(format!("the model has no class `{value}`"));
                    error.with_help(format!("its classes: {}", names.join(", "))).into()
                })
            };
            asked.iter().map(class).collect()
        }
        Conditions::Prompts { texts, negative } => {
            let negative = negative.of_each(texts.len())?;
            Ok(texts.into_iter().zip(negative).map(|(text, negative)| prompt(text.value, negative)).collect())
        }
        // Only for text-to-image models; others were refused above.
        Conditions::PromptFile { .. } => Ok(Vec::new()),
        Conditions::PerClass(count) => {
            listed(node, (classes as u128).saturating_mul(count as u128))?;
            Ok((0..classes).flat_map(|class| std::iter::repeat_n(Condition::Class(class), count)).collect())
        }
        Conditions::Null(count) => {
            listed(node, count as u128)?;
            Ok(vec![Condition::Null; count])
        }
    }
}

/// Refuses more images than could be listed.
fn listed(node: &Node, images: u128) -> Result<()> {
    let bytes = images.saturating_mul(LISTED);
    memory::check("condition", &format!("the list of {images} images"), bytes)
        .map_err(|error| node.error(error.to_string()).with_help("ask for fewer").into())
}

/// What an image shows, as the label of a grid.
pub(super) fn label(condition: &Condition, takes: &Takes) -> String {
    match condition.shown() {
        Condition::Class(class) => {
            let name = takes.class_names.as_ref().and_then(|names| names.get(*class).cloned());
            name.unwrap_or_else(|| class.to_string())
        }
        Condition::Prompt(text) => text.clone(),
        _ => "null".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nextscale_config::Document;

    fn conditions(text: &str) -> Result<Vec<String>> {
        let conditions = read(&Document::parse("run.ron", text)?, &planes(), Path::new(""))?.conditions;
        Ok(conditions.iter().map(|condition| label(condition, &planes())).collect())
    }

    fn planes() -> Takes {
        let names = ["plane", "ship", "truck"].map(String::from).to_vec();
        Takes { classes: 3, class_names: Some(names), prompts: false }
    }

    #[test]
    fn every_form_gives_its_images_in_order() {
        assert_eq!(conditions("Labels([2, 0, 2])").unwrap(), ["truck", "plane", "truck"]);
        assert_eq!(conditions("Names([\"ship\"])").unwrap(), ["ship"]);
        assert_eq!(conditions("PerClass(2)").unwrap(), ["plane", "plane", "ship", "ship", "truck", "truck"]);
        assert_eq!(conditions("Null").unwrap(), ["null"]);
        assert_eq!(conditions("Null(2)").unwrap(), ["null", "null"]);
    }

    #[test]
    fn mistakes_point_at_the_item() {
        let mistakes = [
            "Labels([0, 3])",
            "Labels([-1])",
            "Names([\"plane\", \"car\"])",
            "Labels([])",
            "PerClass(0)",
            "Label([1])",
            "Labels(3)",
        ];
        let told: Vec<String> = mistakes
            .iter()
            .map(|text| {
                let crate::Error::Config(error) = conditions(text).unwrap_err() else {
                    panic!("{text}: no place")
                };
                let column = error.location().map_or(0, |(_, _, column)| column);
                format!("{text}\n  column {column}: {error}\n  {}", error.help_text().unwrap_or("-"))
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"));
        let nameless = Takes { class_names: None, ..planes() };
        let names = Document::parse("run.ron", "Names([\"ship\"])").unwrap();
        assert!(read(&names, &nameless, Path::new("")).is_err());
    }

    #[test]
    fn more_images_than_memory_can_list_are_refused_before_they_are_listed() {
        for text in
            ["PerClass(18446744073709551615)", "Null(18446744073709551615)", "PerClass(4294967296000)"]
        {
            let error = conditions(text).unwrap_err().to_string();
            assert!(error.contains("condition: the list of") && error.contains("GB of memory"), "{error}");
        }
    }

    #[test]
    fn texts_and_classes_are_refused_by_models_that_take_the_other() {
        let told = |text: &str, takes: &Takes| {
            let node = Document::parse("run.ron", text).unwrap();
            read(&node, takes, Path::new("")).err().unwrap().to_string()
        };
        let texts = Takes { prompts: true, ..Takes::default() };
        for prompts in ["Prompts([\"a ship\"])", "Prompts(file: \"none.txt\")"] {
            assert_eq!(told(prompts, &planes()), "the model takes no texts");
        }
        for classes in ["Labels([0])", "Names([\"ship\"])", "PerClass(2)"] {
            assert_eq!(told(classes, &texts), "the model takes no classes");
        }
        let both = "Prompts(texts: [\"a ship\", \"a plane\"], negative: \"blur\")";
        let read =
            read(&Document::parse("run.ron", both).unwrap(), &texts, Path::new("")).unwrap().conditions;
        let labels: Vec<String> = read.iter().map(|condition| label(condition, &texts)).collect();
        assert_eq!(labels, ["a ship", "a plane"]);
        assert_eq!(read[1].avoided(), &Condition::Prompt("blur".into()));
        let each = "Prompts(texts: [\"a ship\", \"a plane\"], negative: [\"blur\", \"\"])";
        let node = Document::parse("run.ron", each).unwrap();
        let read = super::read(&node, &texts, Path::new("")).unwrap().conditions;
        assert_eq!(read[0].avoided(), &Condition::Prompt("blur".into()));
        assert_eq!(read[1].avoided(), &Condition::Prompt(String::new()));
        let few = told("Prompts(texts: [\"a ship\", \"a plane\"], negative: [\"blur\"])", &texts);
        assert_eq!(few, "1 negatives for 2 prompts");
    }

    #[test]
    fn a_file_has_a_prompt_a_line_and_the_resolved_config_has_them_too() {
        let texts = Takes { prompts: true, ..Takes::default() };
        let folder = tempfile::tempdir().unwrap();
        let asked = |bytes: &[u8], condition: &str| {
            std::fs::write(folder.path().join("p.txt"), bytes).unwrap();
            let node = Document::parse("run.ron", condition).unwrap();
            read(&node, &texts, folder.path())
        };
        let file = "Prompts(file: \"p.txt\", negative: \"blur\")";
        let made = asked("\u{feff}a ship\r\n\r\na \"grün\" truck\n".as_bytes(), file).unwrap();
        let labels: Vec<String> = made.conditions.iter().map(|condition| label(condition, &texts)).collect();
        assert_eq!(labels, ["a ship", "", "a \"grün\" truck"]);
        assert_eq!(made.conditions[1].avoided(), &Condition::Prompt("blur".into()));
        // Without the file.
        let again = Document::parse("again.ron", &made.resolved.to_ron_string()).unwrap();
        assert_eq!(read(&again, &texts, Path::new("/nowhere")).unwrap().conditions, made.conditions);

        let each = "Prompts(file: \"p.txt\", negative: [\"blur\", \"a house\"])";
        let made = asked(b"a ship\na truck\n", each).unwrap();
        assert_eq!(made.conditions[1].avoided(), &Condition::Prompt("a house".into()));
        let again = Document::parse("again.ron", &made.resolved.to_ron_string()).unwrap();
        assert_eq!(read(&again, &texts, Path::new("/nowhere")).unwrap().conditions, made.conditions);
        assert!(asked(b"a ship\n", each).err().unwrap().to_string().contains("2 negatives for 1 prompts"));

        let told = |bytes: &[u8]| asked(bytes, file).err().unwrap();
        let latin = told(b"a ship\na gr\xfcn truck\n");
        assert!(
            matches!(latin, Error::Config(_)) && latin.to_string().contains("p.txt: line 2 is not UTF-8"),
            "{latin}"
        );
        assert!(told(b"").to_string().contains("p.txt: it has no line"));
        let missing = asked(b"", "Prompts(file: \"q.txt\")").err().unwrap().to_string();
        assert!(missing.contains("cannot read") && missing.contains("q.txt"), "{missing}");
    }
}
