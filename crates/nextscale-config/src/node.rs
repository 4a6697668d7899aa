//! The tree: values with their places in the text.

use std::path::Path;
use std::sync::Arc;

use crate::{ConfigError, Source, Span, suggest::cut};

/// One value of a RON document, with the place it was read from.
///
/// Two nodes are equal if their values are, wherever they were read from.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is written there.
    pub value: Value,
    /// The bytes of `source` that it spans.
    pub span: Span,
    /// The text it was read from.
    pub source: Arc<Source>,
}

/// What a [`Node`] holds. Names of structs and enum variants are kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `()`
    Unit,
    /// `true`, `false`
    Bool(bool),
    /// `7`, `-1`, `0xff`, `1_000`
    Int(i128),
    /// `0.5`, `1e-3`, `inf`, `NaN`
    Float(f64),
    /// `'x'`
    Char(char),
    /// `"text"`, `r#"text"#`
    Str(String),
    /// A bare name: `Conditional`, `None`.
    Ident(String),
    /// `[a, b]`
    List(Vec<Node>),
    /// `{key: value}`, in the order written.
    Map(Vec<(Node, Node)>),
    /// `(a, b)` or `Name(a, b)`; `Name()` has no items.
    Tuple {
        /// The name before the parenthesis.
        name: Option<String>,
        /// The items in order.
        items: Vec<Node>,
    },
    /// `(a: 1)` or `Name(a: 1)`; never without fields.
    Struct {
        /// The name before the parenthesis.
        name: Option<String>,
        /// The fields in the order written, with distinct names.
        fields: Vec<Field>,
    },
}

/// A field of a struct: `name: node`.
#[derive(Clone, Debug)]
pub struct Field {
    /// The field's name.
    pub name: String,
    /// The bytes of the name in `node.source`.
    pub span: Span,
    /// The field's value.
    pub node: Node,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialEq for Field {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.node == other.node
    }
}

impl Node {
    /// An error that points at this node.
    pub fn error(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::new(message).at(&self.source, self.head(), "")
    }

    /// The string in the tree that names `path`, or the lowest folder above it, for paths relative to `folder`.
    pub fn naming(&self, path: &Path, folder: &Path) -> Option<&Self> {
        let mut best: Option<(usize, &Self)> = None;
        self.each(&mut |node| {
            let Value::Str(text) = &node.value else { return };
            let named = folder.join(text);
            let length = named.components().count();
            if !text.is_empty()
                && path.starts_with(&named)
                && best.is_none_or(|(longest, _)| length > longest)
            {
                best = Some((length, node));
            }
        });
        best.map(|(_, node)| node)
    }

    /// Calls `see` on every node of the tree, this one first.
    fn each<'a>(&'a self, see: &mut impl FnMut(&'a Self)) {
        see(self);
        match &self.value {
            Value::Struct { fields, .. } => fields.iter().for_each(|field| field.node.each(see)),
            Value::List(items) | Value::Tuple { items, .. } => items.iter().for_each(|item| item.each(see)),
            Value::Map(pairs) => pairs.iter().for_each(|(_, value)| value.each(see)),
            _ => {}
        }
    }

    /// The name of a struct or a variant: that of `Name`, `Name(..)` and `Name(field: ..)`.
    pub fn name(&self) -> Option<&str> {
        match &self.value {
            Value::Ident(name) => Some(name),
            Value::Tuple { name, .. } | Value::Struct { name, .. } => name.as_deref(),
            _ => None,
        }
    }

    /// The depth of nesting; 1 for a number or a name.
    pub(crate) fn depth(&self) -> usize {
        let deepest = match &self.value {
            Value::List(items) | Value::Tuple { items, .. } => items.iter().map(Node::depth).max(),
            Value::Struct { fields, .. } => fields.iter().map(|field| field.node.depth()).max(),
            Value::Map(entries) => entries.iter().map(|(key, value)| key.depth().max(value.depth())).max(),
            _ => None,
        };
        1 + deepest.unwrap_or(0)
    }

    /// The span for a caret: the whole of a value on one line, or the first line of a longer one.
    pub(crate) fn head(&self) -> Span {
        let text = self.source.text.get(self.span.clone()).unwrap_or("");
        let first = text.lines().next().unwrap_or("").trim_end().len();
        self.span.start..self.span.start + first
    }

    /// A description of the value for messages: "the number 3", "the list [..]".
    pub fn found(&self) -> String {
        match &self.value {
            Value::Unit => "`()`".into(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Int(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value:?}"),
            Value::Char(value) => format!("the character {value:?}"),
            Value::Str(value) => format!("the string {:?}", cut(value)),
            Value::Ident(name) => format!("the name `{}`", cut(name)),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Map(_) => "a map".into(),
            Value::Tuple { name: Some(name), .. } | Value::Struct { name: Some(name), .. } => {
                format!("`{}(..)`", cut(name))
            }
            Value::Tuple { name: None, items } => format!("a tuple of {}", items.len()),
            Value::Struct { name: None, .. } => "fields in parentheses".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Document;

    #[test]
    fn the_string_that_names_a_path_is_found() {
        let text = r#"(a: Model(folder: "hart", text: (encoder: "hart/llm"), empty: ""), b: ["x.png", "y.png"], m: {"k": "z"})"#;
        let tree = Document::parse("a.ron", text).unwrap();
        let found = |path: &str| tree.naming(Path::new(path), Path::new("configs")).map(Node::to_string);
        assert_eq!(found("configs/hart/tokenizer/config.json").as_deref(), Some(r#""hart""#));
        assert_eq!(found("configs/hart/llm/config.json").as_deref(), Some(r#""hart/llm""#));
        assert_eq!(found("configs/y.png").as_deref(), Some(r#""y.png""#));
        assert_eq!(found("configs/z").as_deref(), Some(r#""z""#));
        assert_eq!(found("elsewhere/y.png"), None);
    }
}
