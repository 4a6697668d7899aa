//! Ron's position in the text.
//!
//! Ron tells a visitor neither its position nor a struct's name. Both are read from the text: ron visits
//! values in order, so the position after one value, after white space and a comma, is the position of the
//! next.

use std::sync::Arc;

use ron::de::Deserializer as Ron;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny},
};

use super::names::BorrowedName;
use crate::{ConfigError, Node, Source, Span, Value};

/// The state of reading a text.
pub(super) struct Reading<'a> {
    pub(super) source: &'a Arc<Source>,
    /// The text, up to the end of the value that is being read.
    pub(super) text: &'a str,
    /// Everything before this byte has been read.
    pub(super) offset: usize,
    /// Where the current scalar or key begins.
    pub(super) token: usize,
    /// The open brackets.
    pub(super) open: Vec<usize>,
    /// The field whose value comes next.
    pub(super) key: Option<Span>,
    /// The error, if ron did not find it itself.
    pub(super) fault: Option<ConfigError>,
    /// Whether the text enables ron's extension `unwrap_variant_newtypes`, with which `Some(a: 1)` means
    /// `Some((a: 1))`.
    pub(super) unwraps: bool,
    /// Set if the next value is in such brackets: whether it lacks its own.
    pub(super) unwrapped: Option<bool>,
    pub(super) depth: usize,
    /// The finished nodes inside all open values. At its end, each value takes its own, whose number is then
    /// known.
    pub(super) items: Vec<Node>,
    /// The names of the fields among them.
    pub(super) names: Vec<(&'a str, Span)>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(source: &'a Arc<Source>, span: Span) -> Self {
        let text = &source.text[..span.end];
        let (offset, token) = (span.start, span.start);
        Self {
            source,
            text,
            offset,
            token,
            open: Vec::new(),
            key: None,
            fault: None,
            unwraps: false,
            unwrapped: None,
            depth: 0,
            items: Vec::new(),
            names: Vec::new(),
        }
    }

    /// Moves to the position at which ron has `remainder` still unread.
    pub(super) fn stand_before(&mut self, remainder: &str) {
        self.offset = self.text.len() - remainder.len();
        self.token = self.offset;
    }

    #[inline]
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.offset..]
    }

    /// The next byte.
    #[inline]
    pub(super) fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.offset).copied()
    }

    /// Skips white space and comments.
    #[inline]
    pub(super) fn skip_space(&mut self) {
        if matches!(self.byte(), Some(..=b' ' | b'/' | 0x80..)) {
            self.skip_some_space();
        }
    }

    fn skip_some_space(&mut self) {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.offset += 1,
                Some(b'/') if self.rest().starts_with("//") => {
                    self.offset += self.rest().find('\n').unwrap_or(self.rest().len());
                }
                _ => break,
            }
        }
        // Block comments and rarer kinds are left to ron, which refuses what it cannot skip.
        if matches!(self.byte(), Some(b'/' | 0x0B | 0x0C | 0x80..))
            && let Ok(ron) = Ron::from_str(self.rest())
        {
            self.offset = self.text.len() - ron.remainder().len();
        }
    }

    #[inline]
    pub(super) fn skip(&mut self, mark: u8) -> bool {
        self.skip_space();
        let found = self.byte() == Some(mark);
        self.offset += usize::from(found);
        found
    }

    /// Enters a bracket, if there is one here.
    #[inline]
    pub(super) fn enter(&mut self, bracket: u8) -> bool {
        let found = self.skip(bracket);
        if found {
            self.open.push(self.offset - 1);
        }
        found
    }

    #[inline]
    pub(super) fn leave(&mut self, entered: bool) {
        if entered {
            self.skip_space();
            self.offset += 1;
            self.open.pop();
        }
    }

    /// Pushes the node of the value that began at `start` and ends here.
    #[inline]
    pub(super) fn finish<E>(&mut self, start: usize, value: Value) -> Result<(), E> {
        self.items.push(Node { value, span: start..self.offset, source: Arc::clone(self.source) });
        Ok(())
    }

    /// The name at this position, plain or raw, and where it ends.
    #[inline]
    pub(super) fn name(&self) -> Option<(&'a str, usize)> {
        if !matches!(self.byte(), Some(b'_' | b'a'..=b'z' | b'A'..=b'Z' | 0x80..)) {
            return None;
        }
        let rest = self.rest();
        let ascii = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        if matches!(rest.as_bytes().get(ascii), Some(b' ' | b'(' | b')' | b',' | b':' | b'\n')) {
            return Some((&rest[..ascii], self.offset + ascii));
        }
        let mut ron = Ron::from_str(rest).ok()?;
        let name = (&mut ron).deserialize_identifier(BorrowedName).ok()?;
        Some((name, self.text.len() - ron.remainder().len()))
    }

    /// The word here that starts like a name; `None` if there is none, or a string or byte string starts
    /// here.
    pub(super) fn word(&self) -> Option<&'a str> {
        let rest = self.rest();
        let is_text = ["r\"", "r#", "b\"", "b'", "br\"", "br#"].iter().any(|start| rest.starts_with(start));
        let starts = rest.starts_with(|c: char| c == '_' || c.is_alphabetic());
        let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '+' | '-')));
        (starts && !is_text).then(|| &rest[..end.unwrap_or(rest.len())])
    }

    /// The end of the value that begins at `start`, as ron reads it separately; `start` if it does not.
    pub(super) fn end_of_value(&self, start: usize) -> usize {
        let rest = &self.text[start..];
        let end = || {
            let mut ron = Ron::from_str(rest).ok()?;
            IgnoredAny::deserialize(&mut ron).ok()?;
            Some(self.text.len() - ron.remainder().len())
        };
        end().unwrap_or(start)
    }

    /// The end of a name that ron borrowed from the text.
    #[inline]
    pub(super) fn end_of(&self, name: &str) -> usize {
        name.as_ptr() as usize - self.text.as_ptr() as usize + name.len()
    }

    /// Stores an error for [`super::parse_part`] and returns one for ron to pass on.
    pub(super) fn fail<E: Error>(&mut self, error: ConfigError) -> E {
        self.fault = Some(error);
        E::custom("")
    }

    pub(super) fn twice<E: Error>(&mut self, what: &str, second: Span, first: Span) -> E {
        let error = ConfigError::new(format!("{what} is given twice"))
            .at(self.source, second, "the second time")
            .also_at(self.source, first, "the first time")
            .with_help("remove one of the two");
        self.fail(error)
    }
}
