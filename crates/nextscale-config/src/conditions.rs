//! A config's `condition` as plain data: one reader of its grammar, shared by generation and measurement.

use serde::de::DeserializeOwned;

use crate::{Node, Result, Value, suggest::cut};

/// The requested images. What the classes mean is up to the reader: this module knows no model.
#[derive(Debug, Clone, PartialEq)]
pub enum Conditions<'a> {
    /// `Labels([207, 360])`: one image per label.
    Labels(Vec<Item<'a, i64>>),
    /// `Names(["ship"])`: one image per class name.
    Names(Vec<Item<'a, String>>),
    /// `PerClass(50)`: this many images of every class, class by class; at least 1.
    PerClass(usize),
    /// `Prompts(["a red truck"])`, `Prompts(texts: ["a red truck"], negative: "blur")`: one image per text.
    Prompts {
        /// The texts, one per image.
        texts: Vec<Item<'a, String>>,
        /// What guidance moves them away from, in place of the null condition.
        negative: Negatives<'a>,
    },
    /// `Prompts(file: "prompts.txt")`: one image per line of a text file.
    PromptFile {
        /// The file, as written in the config.
        file: Item<'a, String>,
        /// As for `Prompts`.
        negative: Negatives<'a>,
    },
    /// `Null`, `Null(8)`: one or more images without a condition.
    Null(usize),
}

/// What guidance moves images of prompts away from.
#[derive(Debug, Clone, PartialEq)]
pub enum Negatives<'a> {
    /// The null condition.
    None,
    /// One text for all of them.
    All(Item<'a, String>),
    /// A text for each of them, and the list's node.
    Each(Vec<Item<'a, String>>, &'a Node),
}

impl Negatives<'_> {
    /// The text for each of `prompts` images.
    ///
    /// # Errors
    /// If a list has another number of them.
    pub fn of_each(&self, prompts: usize) -> Result<Vec<Option<String>>> {
        match self {
            Self::None => Ok(vec![None; prompts]),
            Self::All(text) => Ok(vec![Some(text.value.clone()); prompts]),
            Self::Each(texts, _) if texts.len() == prompts => {
                Ok(texts.iter().map(|text| Some(text.value.clone())).collect())
            }
            Self::Each(texts, node) => {
                let error = node.error(format!("{} negatives for {prompts} prompts", texts.len()));
                Err(error.with_help(
                    "give one for each prompt in their order, or one text for all: negative: \"blur\"",
                ))
            }
        }
    }
}

/// An item of a list, with its place for errors about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Item<'a, T> {
    /// What it says.
    pub value: T,
    /// Its place in the config.
    pub node: &'a Node,
}

impl<'a> Conditions<'a> {
    /// Every form with an example and its meaning, for reference pages.
    pub const FORMS: [(&'static str, &'static str); 5] = [
        ("Labels([207, 360])", "one image per label, from 0"),
        ("Names([\"ship\"])", "one image per class name, for models that have names"),
        ("PerClass(50)", "this many images of every class, class by class"),
        (
            "Prompts([\"a red truck\"])",
            "one image per text, for text-to-image models; `Prompts(texts: [\"a red truck\"], negative: \"blur\")` guides away from \
             the negative (a list has one for each text), and `Prompts(file: \"prompts.txt\")` takes one text per line of a file",
        ),
        ("Null(8)", "this many images of the unconditional model; `Null` is one"),
    ];

    /// Reads the value of `condition`.
    ///
    /// # Errors
    /// A name that is none of these, an empty list, no images, or an item of another type. Each error points
    /// at its place.
    pub fn read(node: &'a Node) -> Result<Self> {
        let variant = node.variant()?;
        match variant.name() {
            "Labels" => Ok(Self::Labels(list(node)?)),
            "Names" => Ok(Self::Names(list(node)?)),
            "PerClass" => Ok(Self::PerClass(positive(node, variant.decode()?)?)),
            "Prompts" => prompts(node),
            "Null" if matches!(&node.value, Value::Ident(_)) => Ok(Self::Null(1)),
            "Null" => Ok(Self::Null(positive(node, variant.decode()?)?)),
            _ => Err(variant
                .unknown("condition", Self::FORMS.map(|(form, _)| form.split('(').next().unwrap_or(form)))),
        }
    }
}

fn positive(node: &Node, count: usize) -> Result<usize> {
    if count > 0 { Ok(count) } else { Err(node.error("0 images; give at least 1")) }
}

/// `Prompts([..])`, `Prompts(texts: [..], negative: "..")`, or `Prompts(file: "..", negative: "..")`.
fn prompts(node: &Node) -> Result<Conditions<'_>> {
    if !matches!(&node.value, Value::Struct { .. }) {
        return Ok(Conditions::Prompts { texts: list(node)?, negative: Negatives::None });
    }
    let item = |node| Ok(Item { value: Node::decode(node)?, node });
    let mut fields = node.fields()?;
    let (texts, file) = (fields.node_option("texts"), fields.node_option("file"));
    let negative = fields.node_option("negative");
    fields.finish()?;
    let negative = match negative {
        None => Negatives::None,
        Some(node) => match items(node)? {
            Some(texts) => Negatives::Each(texts, node),
            None => Negatives::All(item(node)?),
        },
    };
    match (texts, file) {
        (None, Some(file)) => Ok(Conditions::PromptFile { file: item(file)?, negative }),
        (Some(texts), None) => match items(texts)? {
            Some(texts) => Ok(Conditions::Prompts { texts, negative }),
            None => {
                let error = texts.error("expected a list with at least one text");
                Err(error.with_help("write texts: [\"..\"]"))
            }
        },
        (Some(_), Some(file)) => Err(file.error("`file` and `texts` cannot be combined; give one of them")),
        (None, None) => {
            let error = node.error("missing field `texts`");
            Err(error.with_help("write texts: [\"..\"], or file: \"prompts.txt\" with one per line"))
        }
    }
}

/// The items of a list with at least one item.
fn items<T: DeserializeOwned>(node: &Node) -> Result<Option<Vec<Item<'_, T>>>> {
    let Value::List(items) = &node.value else { return Ok(None) };
    let items: Vec<_> =
        items.iter().map(|node| Ok(Item { value: node.decode()?, node })).collect::<Result<_>>()?;
    Ok((!items.is_empty()).then_some(items))
}

/// The items of `Name([..])`, at least one.
fn list<T: DeserializeOwned>(node: &Node) -> Result<Vec<Item<'_, T>>> {
    if let Value::Tuple { items: inner, .. } = &node.value
        && let [inner] = inner.as_slice()
        && let Some(items) = items(inner)?
    {
        return Ok(items);
    }
    let name = node.name().unwrap_or_default();
    let error = node.error(format!("`{name}` needs a list with at least one item"));
    let items = match &node.value {
        Value::Tuple { items, .. } if !items.iter().all(|item| matches!(item.value, Value::List(_))) => {
            items.iter().map(|item| cut(&item.to_string()).into_owned()).collect::<Vec<_>>().join(", ")
        }
        _ => "..".into(),
    };
    Err(error.with_help(format!("write {name}([{items}])")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Document;

    #[test]
    fn every_form_is_read_as_its_reference_says() {
        for (example, _) in Conditions::FORMS {
            let node = Document::parse("run.ron", example).unwrap();
            let found = match Conditions::read(&node).unwrap() {
                Conditions::Labels(labels) => {
                    format!("{:?}", labels.iter().map(|l| l.value).collect::<Vec<_>>())
                }
                Conditions::Names(names) => {
                    format!("{:?}", names.iter().map(|n| &n.value).collect::<Vec<_>>())
                }
                Conditions::Prompts { texts, .. } => format!("{:?}", texts[0].value),
                Conditions::PromptFile { file, .. } => format!("{:?}", file.value),
                Conditions::PerClass(count) | Conditions::Null(count) => count.to_string(),
            };
            assert!(example.contains(&found), "{example}: {found}");
        }
        let file = Document::parse("run.ron", "Prompts(file: \"p.txt\", negative: \"c\")").unwrap();
        let Conditions::PromptFile { file, negative: Negatives::All(negative) } =
            Conditions::read(&file).unwrap()
        else {
            panic!("other")
        };
        assert_eq!((file.value.as_str(), negative.value.as_str()), ("p.txt", "c"));
        let null = Document::parse("run.ron", "Null").unwrap();
        assert_eq!(Conditions::read(&null).unwrap(), Conditions::Null(1));
        let both = Document::parse("run.ron", "Prompts(texts: [\"a\", \"b\"], negative: \"c\")").unwrap();
        let Conditions::Prompts { texts, negative } = Conditions::read(&both).unwrap() else {
            panic!("other")
        };
        assert_eq!(texts[1].value, "b");
        assert_eq!(negative.of_each(2).unwrap(), [Some("c".to_owned()), Some("c".to_owned())]);
        let each = "Prompts(texts: [\"a\", \"b\"], negative: [\"c\", \"d\"])";
        let each = Document::parse("run.ron", each).unwrap();
        let Conditions::Prompts { negative, .. } = Conditions::read(&each).unwrap() else { panic!("other") };
        assert_eq!(negative.of_each(2).unwrap(), [Some("c".to_owned()), Some("d".to_owned())]);
        let error = negative.of_each(3).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.location()),
            ("2 negatives for 3 prompts", Some(("run.ron", 1, 38)))
        );
    }

    #[test]
    fn items_without_their_list_are_shown_with_it() {
        for (text, help) in [
            ("Names(\"cat\")", "write Names([\"cat\"])"),
            ("Labels(3, 4)", "write Labels([3, 4])"),
            ("Labels", "write Labels([..])"),
            ("Labels([])", "write Labels([..])"),
            ("Prompts(\"a cat\")", "write Prompts([\"a cat\"])"),
        ] {
            let node = Document::parse("run.ron", text).unwrap();
            assert_eq!(Conditions::read(&node).unwrap_err().help_text(), Some(help), "{text}");
        }
    }

    #[test]
    fn items_know_their_place_and_mistakes_are_told() {
        let node = Document::parse("run.ron", "Labels([3, -7])").unwrap();
        let Conditions::Labels(labels) = Conditions::read(&node).unwrap() else { panic!("other") };
        let error = labels[1].node.error("out of range");
        assert_eq!((labels[1].value, error.location()), (-7, Some(("run.ron", 1, 12))));
        for (text, told) in [
            ("Labels([])", "`Labels` needs a list with at least one item"),
            ("Labels(3)", "`Labels` needs a list with at least one item"),
            ("Names", "`Names` needs a list with at least one item"),
            ("PerClass(0)", "0 images"),
            ("Null(0)", "0 images"),
            ("Prompts([])", "`Prompts` needs a list with at least one item"),
            ("Prompts(texts: [])", "expected a list with at least one text"),
            ("Prompts(texts: [\"a\"], negativ: \"b\")", "unknown field `negativ`"),
            ("Prompts(negative: \"b\")", "missing field `texts`"),
            ("Prompts(texts: [\"a\"], file: \"b\")", "`file` and `texts` cannot be combined"),
            ("Label([1])", "unknown condition `Label`"),
        ] {
            let node = Document::parse("run.ron", text).unwrap();
            let error = Conditions::read(&node).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
        for text in ["Labels([0.5])", "Names([1])", "PerClass(-1)", "[1]"] {
            let node = Document::parse("run.ron", text).unwrap();
            assert!(Conditions::read(&node).is_err(), "{text}");
        }
    }
}
