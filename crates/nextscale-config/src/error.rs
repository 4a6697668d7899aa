//! The one error of this crate: a message, a hint, and the place in the text.

use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan};
use serde::{de, ser};

use crate::{Node, Source, Span, suggest};

/// What is wrong with a config, where, and what would be right.
///
/// As a [`miette::Report`] it shows the file, the line, a caret under the offending text and the hint;
/// `{}` prints one line without the place.
#[derive(Clone, Debug, thiserror::Error, Diagnostic)]
#[error("{}{message}", prefix(path))]
pub struct ConfigError {
    message: String,
    /// The fields above the offending node, outermost last.
    path: Vec<String>,
    /// What a visitor wanted, until the node that it got instead is known.
    expected: Option<String>,
    #[help]
    help: Option<String>,
    #[label(collection)]
    labels: Vec<LabeledSpan>,
    #[source_code]
    document: Option<Arc<Source>>,
}

fn prefix(path: &[String]) -> String {
    let mut prefix = String::new();
    for step in path.iter().rev() {
        if !prefix.is_empty() && !step.starts_with('[') {
            prefix.push('.');
        }
        prefix.push_str(step);
    }
    if prefix.is_empty() { prefix } else { format!("{prefix}: ") }
}

impl ConfigError {
    /// An error that points nowhere yet.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            path: Vec::new(),
            expected: None,
            help: None,
            labels: Vec::new(),
            document: None,
        }
    }

    /// The same error with a hint, in place of the one it had.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The message alone, without the path of fields before it.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The hint, where there is one.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The file, line and column (from 1) of the first label.
    pub fn location(&self) -> Option<(&str, usize, usize)> {
        let source = self.document.as_deref()?;
        let (line, column) = source.position(self.labels.first()?.offset());
        Some((&source.name, line, column))
    }

    /// Points at a span. The first place stays: the innermost one is the most precise.
    pub(crate) fn at(mut self, source: &Arc<Source>, span: Span, label: &str) -> Self {
        // A tree built from values has no text to show.
        if self.document.is_none() && !source.text.is_empty() {
            self = self.also_at(source, span, label);
        }
        self
    }

    /// Adds a place in the same text as the first one; another text's place is left out.
    pub(crate) fn also_at(mut self, source: &Arc<Source>, span: Span, label: &str) -> Self {
        let same = self.document.as_ref().is_none_or(|document| Arc::ptr_eq(document, source));
        if same {
            let label = (!label.is_empty()).then(|| label.to_owned());
            self.labels.push(LabeledSpan::new(label, span.start, span.len()));
            self.document = Some(Arc::clone(source));
        }
        self
    }

    /// Points at a node, unless a place inside it is known.
    pub(crate) fn at_node(mut self, node: &Node) -> Self {
        if let Some(expected) = self.expected.take() {
            self.message = format!("expected {expected}, found {}", node.found());
        }
        self.at(&node.source, node.head(), "")
    }

    /// Says that the error lies in this field or `[index]` of what is being read.
    pub(crate) fn inside(mut self, step: impl Into<String>) -> Self {
        self.path.push(step.into());
        self
    }

    /// An unknown name, with the nearest one that is allowed and all of them.
    pub(crate) fn unknown(what: &str, given: &str, allowed: &[&str]) -> Self {
        Self::new(format!("unknown {what} `{given}`"))
            .with_help(suggest::help(given, allowed.iter().copied()))
    }
}

impl de::Error for ConfigError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self {
            expected: Some(expected.to_string()),
            ..Self::new(format!("expected {expected}, found {found}"))
        }
    }

    fn invalid_value(found: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown("field", field, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::unknown("name", variant, expected)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("missing field `{field}`")).with_help(format!("add `{field}: ..` here"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("the field `{field}` is given twice"))
    }
}

impl ser::Error for ConfigError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}
