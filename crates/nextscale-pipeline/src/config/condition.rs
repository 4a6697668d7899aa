use nextscale_config::{Conditions, Item, Node};
use nextscale_core::Condition;

use crate::Result;

/// What a config asks for, image by image, once the model's classes are known.
pub(super) fn read(node: &Node, classes: usize, names: Option<&[String]>) -> Result<Vec<Condition>> {
    let last = classes.saturating_sub(1);
    match Conditions::read(node)? {
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
        Conditions::PerClass(count) => {
            Ok((0..classes).flat_map(|class| std::iter::repeat_n(Condition::Class(class), count)).collect())
        }
        Conditions::Null(count) => Ok(vec![Condition::Null; count]),
    }
}

/// What an image shows, as a grid labels it.
pub(super) fn label(condition: &Condition, names: Option<&[String]>) -> String {
    match condition {
        Condition::Class(class) => {
            names.and_then(|names| names.get(*class).cloned()).unwrap_or_else(|| class.to_string())
        }
        _ => "null".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nextscale_config::Document;

    fn conditions(text: &str) -> Result<Vec<String>> {
        let names = ["plane", "ship", "truck"].map(String::from);
        let conditions = read(&Document::parse("run.ron", text)?, 3, Some(&names))?;
        Ok(conditions.iter().map(|condition| label(condition, Some(&names))).collect())
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
        assert!(read(&Document::parse("run.ron", "Names([\"ship\"])").unwrap(), 3, None).is_err());
    }
}
