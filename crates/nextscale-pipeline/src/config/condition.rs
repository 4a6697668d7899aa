use nextscale_config::{Conditions, Item, Node};
use nextscale_core::{Condition, memory};
use nextscale_families::Takes;

use crate::Result;

/// Bytes that an image takes before it is made, at the least: its condition, its number and its file's name.
const LISTED: u128 = 128;

/// What a config asks for, image by image, of a model that takes these conditions.
pub(super) fn read(node: &Node, takes: &Takes) -> Result<Vec<Condition>> {
    let (classes, names) = (takes.classes, takes.class_names.as_deref());
    let last = classes.saturating_sub(1);
    let asked = Conditions::read(node)?;
    let prompts = matches!(&asked, Conditions::Prompts { .. });
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
            let class = |Item { value, node }: &Item<'_, String>| {
                names.iter().position(|known| known == value).map(Condition::Class).ok_or_else(|| {
                    let error = node.error(format!("the model has no class `{value}`"));
                    error.with_help(format!("its classes: {}", names.join(", "))).into()
                })
            };
            asked.iter().map(class).collect()
        }
        Conditions::Prompts { texts, negative } => {
            let prompt = |Item { value, .. }: Item<'_, String>| {
                let shown = Condition::Prompt(value);
                match &negative {
                    Some(negative) => shown.avoiding(Condition::Prompt(negative.value.clone())),
                    None => shown,
                }
            };
            Ok(texts.into_iter().map(prompt).collect())
        }
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

/// What an image shows, as a grid labels it.
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
        let conditions = read(&Document::parse("run.ron", text)?, &planes())?;
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
        assert!(read(&Document::parse("run.ron", "Names([\"ship\"])").unwrap(), &nameless).is_err());
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
            read(&Document::parse("run.ron", text).unwrap(), takes).unwrap_err().to_string()
        };
        let texts = Takes { prompts: true, ..Takes::default() };
        assert_eq!(told("Prompts([\"a ship\"])", &planes()), "the model takes no texts");
        for classes in ["Labels([0])", "Names([\"ship\"])", "PerClass(2)"] {
            assert_eq!(told(classes, &texts), "the model takes no classes");
        }
        let both = "Prompts(texts: [\"a ship\", \"a plane\"], negative: \"blur\")";
        let read = read(&Document::parse("run.ron", both).unwrap(), &texts).unwrap();
        let labels: Vec<String> = read.iter().map(|condition| label(condition, &texts)).collect();
        assert_eq!(labels, ["a ship", "a plane"]);
        assert_eq!(read[1].avoided(), &Condition::Prompt("blur".into()));
    }
}
