//! The only error type of this crate: a message, a hint, and the place in the text.

use std::sync::Arc;

use miette::{Diagnostic, LabeledSpan};

use crate::{Node, Source, Span, source::EXCERPT, step::join, suggest};

/// What is wrong with a config, where, and how to correct it.
///
/// As a [`miette::Report`] it shows the file, the line, a caret under the offending text and the hint;
/// `{}` prints one line without the place.
#[derive(Clone, Debug, thiserror::Error, Diagnostic)]
#[error("{}{message}", prefix(path.as_deref()))]
pub struct ConfigError {
    // Boxed throughout: errors are returned by value everywhere.
    message: Box<str>,
    /// The fields around the offending node, as in `guidance.base`.
    path: Option<Box<str>>,
    #[help]
    help: Option<Box<str>>,
    #[label(collection)]
    labels: Vec<LabeledSpan>,
    #[source_code]
    document: Option<Arc<Source>>,
}

fn prefix(path: Option<&str>) -> String {
    path.map_or(String::new(), |path| format!("{path}: "))
}

/// A message may hold text of a file, which may be of any length.
const LONGEST: usize = 8000;

fn bounded(mut text: String) -> Box<str> {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push_str(" ..");
    }
    text.into()
}

impl ConfigError {
    /// An error without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: bounded(message.into()), path: None, help: None, labels: Vec::new(), document: None }
    }

    /// The same error with this hint instead of its own.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(bounded(help.into()));
        self
    }

    /// The message, without the path of fields before it.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The hint, if there is one.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The file, line and column (from 1) of the first label.
    pub fn location(&self) -> Option<(&str, usize, usize)> {
        let source = self.document.as_deref()?;
        let (line, column) = source.position(self.labels.first()?.offset());
        Some((&source.name, line, column))
    }

    /// Points at a span. The first place is kept: the innermost is the most precise.
    pub(crate) fn at(mut self, source: &Arc<Source>, span: Span, label: &str) -> Self {
        // A tree built from values has no text to show.
        if self.document.is_none() && !source.text.is_empty() {
            self = self.also_at(source, span, label);
        }
        self
    }

    /// Adds a place in the same text as the first one; places in other texts are ignored.
    pub(crate) fn also_at(mut self, source: &Arc<Source>, span: Span, label: &str) -> Self {
        let same = self.document.as_ref().is_none_or(|document| Arc::ptr_eq(document, source));
        if same {
            let label = (!label.is_empty()).then(|| label.to_owned());
            let length = source.forward(span.start, span.end, EXCERPT) - span.start;
            self.labels.push(LabeledSpan::new(label, span.start, length));
            self.document = Some(Arc::clone(source));
        }
        self
    }

    /// Points at a node, unless a place inside it is known.
    pub(crate) fn at_node(self, node: &Node) -> Self {
        self.at(&node.source, node.head(), "")
    }

    /// The same error at another place, including one that it had ignored.
    pub(crate) fn moved_to(mut self, source: &Arc<Source>, span: Span) -> Self {
        self.labels.clear();
        self.document = None;
        self.at(source, span, "")
    }

    /// Records that the error is in this field or `[index]` of what is being read.
    pub(crate) fn inside(mut self, step: impl Into<String>) -> Self {
        let step = suggest::cut(&step.into()).into_owned();
        self.path = Some(match self.path.take() {
            None => step.into(),
            Some(path) => join(&step, &path).into(),
        });
        self
    }

    /// An unknown name, with the nearest allowed one and the list of all.
    pub(crate) fn unknown(what: &str, given: &str, allowed: &[&str]) -> Self {
        Self::new(format!("unknown {what} `{}`", suggest::cut(given))).with_help(suggest::help(
            given,
            "allowed",
            allowed.iter().copied(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_with_a_whole_file_in_it_is_cut() {
        let long = "é".repeat(5_000_000);
        let error = ConfigError::new(format!("no class `{long}`")).with_help(long.clone());
        assert!(error.message().starts_with("no class `éé") && error.message().ends_with(" .."));
        assert!(error.to_string().len() < 8100 && error.help_text().unwrap().len() < 8100);
        assert_eq!(ConfigError::new("short").message(), "short");
    }
}
