//! A place in a text, and the smallest steps over it: characters, white space, comments, names.

use std::sync::Arc;

use crate::{ConfigError, Result, Source, Span};

/// Values nest at most this deep, so that hostile input cannot exhaust the stack.
const MAX_DEPTH: usize = 128;

pub(super) struct Cursor<'a> {
    pub(super) source: &'a Arc<Source>,
    pub(super) offset: usize,
    end: usize,
    depth: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(source: &'a Arc<Source>, span: Span) -> Self {
        Self { source, offset: span.start, end: span.end, depth: 0 }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.source.text[self.offset..self.end]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn starts_with(&self, text: &str) -> bool {
        self.rest().starts_with(text)
    }

    pub(super) fn advance(&mut self, bytes: usize) {
        self.offset += bytes;
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.advance(next.len_utf8());
        Some(next)
    }

    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.starts_with(text);
        if found {
            self.advance(text.len());
        }
        found
    }

    pub(super) fn take_while(&mut self, allowed: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !allowed(c)).unwrap_or(rest.len())];
        self.advance(taken.len());
        taken
    }

    /// Runs `inner` one level deeper.
    pub(super) fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == MAX_DEPTH {
            return Err(self.error_here(format!("values are nested more than {MAX_DEPTH} deep")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    pub(super) fn skip_space(&mut self) -> Result<()> {
        loop {
            self.take_while(is_space);
            let start = self.offset;
            if self.take("//") {
                self.take_while(|c| c != '\n');
            } else if self.take("/*") {
                self.skip_block_comment(start)?;
            } else {
                return Ok(());
            }
        }
    }

    fn skip_block_comment(&mut self, start: usize) -> Result<()> {
        let mut open = 1;
        while open > 0 {
            if self.take("/*") {
                open += 1;
            } else if self.take("*/") {
                open -= 1;
            } else if self.next().is_none() {
                return Err(self
                    .error(start..start + 2, "this comment is never closed")
                    .with_help("end it with `*/`"));
            }
        }
        Ok(())
    }

    /// A name, plain or raw (`r#name`); the raw form's span covers its prefix too.
    pub(super) fn name(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        if let Some(raw) = rest.strip_prefix("r#") {
            let length = raw.find(|c| !is_raw_name(c)).unwrap_or(raw.len());
            if length == 0 {
                return None;
            }
            self.advance(2 + length);
            return Some(&raw[..length]);
        }
        let strings = ["b\"", "b'", "br\"", "br#", "r\""];
        if strings.iter().any(|start| rest.starts_with(start)) || !rest.starts_with(is_name_start) {
            return None;
        }
        Some(self.take_while(is_name))
    }

    pub(super) fn error(&self, span: Span, message: impl Into<String>) -> ConfigError {
        ConfigError::new(message).at(self.source, span, "")
    }

    /// An error at the next character.
    pub(super) fn error_here(&self, message: impl Into<String>) -> ConfigError {
        self.error(self.offset..self.offset + self.peek().map_or(0, char::len_utf8), message)
    }

    pub(super) fn expected(&self, what: &str) -> ConfigError {
        match self.peek() {
            Some(_) if self.rest().starts_with(is_name) => {
                let rest = self.rest();
                let word = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
                self.error(self.offset..self.offset + word.len(), format!("expected {what}, found `{word}`"))
            }
            Some(found) => self.error_here(format!("expected {what}, found `{found}`")),
            None => self.error_here(format!("expected {what}, found the end of the text")),
        }
    }

    pub(super) fn unsupported(&self, what: &str, instead: &str) -> ConfigError {
        self.error_here(format!("{what} is not used in configs")).with_help(instead)
    }
}

pub(super) fn is_name_start(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

pub(super) fn is_name(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

fn is_raw_name(c: char) -> bool {
    is_name(c) || matches!(c, '.' | '+' | '-')
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r' | '\u{85}' | '\u{200E}' | '\u{200F}' | '\u{2028}' | '\u{2029}')
}
