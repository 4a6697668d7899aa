//! Text to tree, by the `ron` crate: its deserialiser walks the text once and builds the [`Node`]s on the
//! way.
//!
//! Whatever `ron` accepts or refuses is accepted or refused here too, with three exceptions that are refused:
//! duplicate fields or keys, nesting deeper than [`MAX_DEPTH`], and text that is not UTF-8. Ranges become
//! structs with the field names of `std::ops`, byte strings become lists of numbers.

mod explain;
mod groups;
mod kind;
mod names;
mod reading;
mod struct_fields;
mod tree;

use std::{path::Path, sync::Arc};

use ron::{Options, de::Deserializer, extensions::Extensions};
use serde::de::DeserializeSeed;

use crate::{ConfigError, Node, Result, Source, Span};
pub(crate) use names::{is_keyword, is_name};
use reading::Reading;
use tree::NodeSeed;

/// The deepest nesting of values, so that hostile input cannot exhaust the stack.
pub(crate) const MAX_DEPTH: usize = 128;

/// A whole RON document.
#[derive(Debug)]
pub struct Document;

impl Document {
    /// Parses a text. `name` is its name in reports, usually its path. Ignores a byte order mark at the
    /// start.
    ///
    /// # Errors
    /// Text that is not RON, duplicate fields or keys, and nesting deeper than 128.
    pub fn parse(name: &str, text: &str) -> Result<Node> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
        parse_part(&source, 0..text.len())
    }

    /// Reads a file and parses it.
    ///
    /// # Errors
    /// A file that cannot be read or is not UTF-8, and the errors of [`Document::parse`].
    pub fn read(path: &Path) -> Result<Node> {
        let bytes = std::fs::read(path).map_err(|error| {
            let message = match nextscale_files::missing(path, &error) {
                Some(path) => nextscale_files::words_of_missing(path),
                None => format!("cannot read the config {}: {error}", path.display()),
            };
            ConfigError::new(message).with_help("give the path of a RON file; `nextscale init` writes one")
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            ConfigError::new(format!("the config {} is not UTF-8 text at byte {at}", path.display()))
        })?;
        if text.trim_start_matches('\u{feff}').trim().is_empty() {
            // There is no line to show.
            let message = format!("the config {} is empty", path.display());
            return Err(ConfigError::new(message).with_help("`nextscale init` writes one to start from"));
        }
        Self::parse(&path.display().to_string(), &text)
    }
}

/// Parses the single value in `span` of a text.
pub(crate) fn parse_part(source: &Arc<Source>, span: Span) -> Result<Node> {
    let mut reading = Reading::new(source, span.clone());
    // Depth is bounded here and not by ron, whose limit counts several steps per level.
    let options = Options::default().without_recursion_limit();
    let mut ron = match Deserializer::from_str_with_options(&source.text[span], &options) {
        Ok(ron) => ron,
        Err(error) => return Err(reading.explain_header(error)),
    };
    reading.stand_before(ron.remainder());
    reading.unwraps = ron.extensions().contains(Extensions::UNWRAP_VARIANT_NEWTYPES);
    let read = NodeSeed(&mut reading).deserialize(&mut ron).and_then(|()| ron.end());
    match read.and_then(|()| reading.items.pop().ok_or(ron::Error::Eof)) {
        Ok(node) => Ok(node),
        Err(error) => Err(reading.explain(error, ron.remainder())),
    }
}

#[cfg(test)]
mod tests;
