//! Text to tree. All of RON that a config needs: what the `ron` crate reads is read here with the same
//! meaning, except byte strings, byte literals, ranges and names outside ASCII, which are refused by name.

mod cursor;
mod header;
mod number;
mod string;
mod value;

use std::{path::Path, sync::Arc};

use crate::{ConfigError, Node, Result, Source, Span};
use cursor::Cursor;
pub(crate) use value::keyword;

/// A whole RON document.
#[derive(Debug)]
pub struct Document;

impl Document {
    /// Parses a text; `name` is what reports call it, usually its path.
    ///
    /// # Errors
    /// What ron's grammar does not allow, a field given twice in one struct, nesting deeper than 128.
    pub fn parse(name: &str, text: &str) -> Result<Node> {
        let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
        let mut cursor = Cursor::new(&source, 0..text.len());
        cursor.header()?;
        finish(cursor)
    }

    /// Reads a file and parses it.
    ///
    /// # Errors
    /// A file that cannot be read or is not UTF-8, and those of [`Document::parse`].
    pub fn read(path: &Path) -> Result<Node> {
        let bytes = std::fs::read(path).map_err(|error| {
            ConfigError::new(format!("cannot read the config {}: {error}", path.display()))
                .with_help("give the path of a RON file; `nextscale init` writes one")
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            ConfigError::new(format!("the config {} is not UTF-8 text at byte {at}", path.display()))
        })?;
        Self::parse(&path.display().to_string(), &text)
    }
}

/// Parses the one value that stands in `span` of a text.
pub(crate) fn parse_part(source: &Arc<Source>, span: Span) -> Result<Node> {
    finish(Cursor::new(source, span))
}

fn finish(mut cursor: Cursor<'_>) -> Result<Node> {
    cursor.skip_space()?;
    let node = cursor.value()?;
    cursor.skip_space()?;
    match cursor.peek() {
        None => Ok(node),
        Some(_) if cursor.starts_with("..") => {
            Err(cursor.unsupported("a range `a..b`", "write a tuple, `(a, b)`"))
        }
        Some(found) => Err(cursor.error_here(format!("`{found}` after the end of the value"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    #[test]
    fn a_document_has_spans_into_its_text() {
        let text = "// head\n(a: Cfg(scale: 1.5), /* x /* y */ */ b: [1, -2],)";
        let node = Document::parse("a.ron", text).unwrap();
        let Value::Struct { name: None, fields } = &node.value else { panic!("{node:?}") };
        assert_eq!(&text[fields[0].span.clone()], "a");
        assert_eq!(&text[fields[0].node.span.clone()], "Cfg(scale: 1.5)");
        assert_eq!(&text[fields[1].node.span.clone()], "[1, -2]");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Document::read(Path::new("/no/such.ron")).unwrap_err();
        assert!(error.to_string().contains("/no/such.ron"), "{error}");
    }
}
