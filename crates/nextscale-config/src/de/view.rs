//! A node as the deserialiser sees it, and what it can be taken for.

use crate::{ConfigError, Field, Node, Result, Value, suggest::cut};

/// A node to be read, with its name or as the nameless content of its parentheses.
#[derive(Clone, Copy)]
pub(super) struct Reader<'de> {
    pub(super) node: &'de Node,
    pub(super) nameless: bool,
    /// The field that this is the value of.
    pub(super) field: Option<&'de Field>,
}

impl<'de> Reader<'de> {
    pub(super) fn whole(node: &'de Node) -> Self {
        Self { node, nameless: false, field: None }
    }

    pub(super) fn field(field: &'de Field) -> Self {
        Self { field: Some(field), ..Self::whole(&field.node) }
    }

    /// What a name's parentheses hold: the single item, or all of them as a nameless tuple or struct.
    pub(super) fn payload(node: &'de Node) -> Self {
        match &node.value {
            Value::Tuple { items, .. } if items.len() == 1 => Self::whole(&items[0]),
            _ => Self { node, nameless: true, field: None },
        }
    }

    pub(super) fn name(&self) -> Option<&'de str> {
        if self.nameless { None } else { self.node.name() }
    }

    /// Nothing in the parentheses, or none at all.
    pub(super) fn is_empty(&self) -> bool {
        match &self.node.value {
            Value::Unit => true,
            Value::Ident(_) => self.nameless,
            Value::Tuple { items, .. } => items.is_empty(),
            _ => false,
        }
    }

    pub(super) fn expected(&self, what: &str) -> ConfigError {
        ConfigError::new(format!("expected {what}, found {}", self.node.found())).at_node(self.node)
    }

    pub(super) fn with<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| error.at_node(self.node))
    }

    /// The fields for a struct of this name, which need not be written.
    pub(super) fn fields_of(&self, name: &str) -> Result<&'de [Field]> {
        let named_so = self.name().is_none_or(|found| found == name);
        match &self.node.value {
            _ if !named_so => Err(self.expected(&format!("`{name}(..)`"))),
            Value::Struct { fields, .. } => Ok(fields),
            Value::Unit | Value::Ident(_) => Ok(&[]),
            Value::Tuple { items, .. } if items.is_empty() => Ok(&[]),
            Value::Tuple { name: Some(_), items } if items.len() == 1 => {
                Reader::whole(&items[0]).fields_of(name)
            }
            _ => Err(self.expected("fields, `(name: value, ..)`")),
        }
    }

    /// The items of a list or a nameless tuple.
    pub(super) fn items(&self, what: &str, tuples: bool) -> Result<&'de [Node]> {
        match &self.node.value {
            Value::List(items) => Ok(items),
            Value::Tuple { items, .. } if (tuples || self.nameless) && self.name().is_none() => Ok(items),
            Value::Unit if tuples => Ok(&[]),
            Value::Ident(_) if self.nameless => Ok(&[]),
            _ => Err(self.expected(what)),
        }
    }

    pub(super) fn text(&self) -> Result<&'de str> {
        match &self.node.value {
            Value::Str(text) => Ok(text),
            Value::Ident(name) if !self.nameless => {
                Err(self.expected("a string").with_help(format!("put it between quotes: \"{}\"", cut(name))))
            }
            _ => Err(self.expected("a string")),
        }
    }
}
