use nextscale_config::{Node, Value};
use nextscale_core::Condition;

use crate::Result;

const KINDS: [&str; 4] = ["Labels", "PerClass", "Names", "Null"];

/// What a config asks for, image by image, once the model's classes are known.
///
/// - `Labels([207, 360])`: one image a label, from 0.
/// - `PerClass(50)`: so many images of every class, class by class.
/// - `Names(["ship"])`: as labels, for models that have names.
/// - `Null`, `Null(8)`: one or so many images of the unconditional model.
pub(super) fn read(node: &Node, classes: usize, names: Option<&[String]>) -> Result<Vec<Condition>> {
    let variant = node.variant()?;
    match variant.name() {
        "Labels" => {
            let label = |item: &Node| -> Result<Condition> {
                let label: i64 = item.decode()?;
                usize::try_from(label).ok().filter(|&label| label < classes).map(Condition::Class).ok_or_else(
                    || {
                        let error = item.error(format!("label {label} is out of range"));
                        error
                            .with_help(format!(
                                "the model has {classes} classes: 0 to {}",
                                classes.saturating_sub(1)
                            ))
                            .into()
                    },
                )
            };
            list(node)?.iter().map(label).collect()
        }
        "Names" => {
            let Some(names) = names else {
                let error = node.error("the model has no class names");
                return Err(error
                    .with_help(format!("give labels from 0 to {}", classes.saturating_sub(1)))
                    .into());
            };
            let label = |item: &Node| -> Result<Condition> {
                let name: String = item.decode()?;
                names.iter().position(|known| *known == name).map(Condition::Class).ok_or_else(|| {
                    let error = item.error(format!("the model has no class `{name}`"));
                    error.with_help(format!("its classes: {}", names.join(", "))).into()
                })
            };
            list(node)?.iter().map(label).collect()
        }
        "PerClass" => {
            let count: usize = variant.decode()?;
            positive(node, count)?;
            Ok((0..classes).flat_map(|class| std::iter::repeat_n(Condition::Class(class), count)).collect())
        }
        "Null" => {
            let bare = matches!(&node.value, Value::Ident(_));
            let count = if bare { 1 } else { variant.decode()? };
            positive(node, count)?;
            Ok(vec![Condition::Null; count])
        }
        _ => Err(variant.unknown("condition", KINDS).into()),
    }
}

fn positive(node: &Node, count: usize) -> Result<()> {
    if count > 0 { Ok(()) } else { Err(node.error("0 images; give at least 1").into()) }
}

/// The items of `Name([..])`.
fn list(node: &Node) -> Result<&[Node]> {
    if let Value::Tuple { items, .. } = &node.value
        && let [Node { value: Value::List(items), .. }] = items.as_slice()
        && !items.is_empty()
    {
        return Ok(items);
    }
    let name = node.name().unwrap_or_default();
    Err(node
        .error(format!("`{name}` needs a list of at least one"))
        .with_help(format!("write {name}([..])"))
        .into())
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
