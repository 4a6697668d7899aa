//! Turns ron's syntax errors into messages for people: the place, what was found there, and what was
//! expected.

use ron::error::{Error as Ron, SpannedError};

use super::reading::Reading;
use crate::{ConfigError, Span, suggest};

const EXTENSIONS: [&str; 4] =
    ["unwrap_newtypes", "implicit_some", "unwrap_variant_newtypes", "explicit_struct_names"];

impl<'a> Reading<'a> {
    /// Converts ron's error, with `remainder` still unread.
    pub(super) fn explain(mut self, error: Ron, remainder: &str) -> ConfigError {
        if let Some(fault) = self.fault.take() {
            return fault;
        }
        let read = self.offset;
        self.offset = self.text.len() - remainder.len();
        let cursor = self.offset;
        self.skip_space();
        match error {
            Ron::UnclosedBlockComment => return self.open_comment(read),
            Ron::ExpectedStringEnd => return self.open_string(),
            Ron::Eof if self.token_begins(&['"', 'b']) => return self.open_string(),
            Ron::ExpectedChar => return self.character(cursor),
            Ron::Eof if self.token_begins(&['\'']) => return self.character(cursor),
            Ron::UnexpectedChar(c) if self.text[..cursor].ends_with(&format!("/{c}")) => {
                return self.lone_slash(cursor - c.len_utf8() - 1);
            }
            Ron::Eof if self.text[..cursor].ends_with('/') => return self.lone_slash(cursor - 1),
            Ron::InvalidEscape(_) => {
                let start = self.text[..cursor].rfind('\\').unwrap_or(cursor).max(self.token);
                return self.error(start..cursor, "unknown escape").with_help(
                    "known: \\\\ \\\" \\' \\n \\r \\t \\0 \\x41 \\u{e9}; a raw string r\"..\" has no escapes",
                );
            }
            _ => {}
        }
        if let Some(&open) = self.open.last().filter(|_| self.rest().is_empty()) {
            return self
                .error(open..open + 1, "this bracket is never closed")
                .with_help(format!("a `{}` is missing", self.close(open)));
        }
        if matches!(error, Ron::ExpectedComma | Ron::TrailingCharacters)
            && let Some(start) = self.within_number(cursor)
        {
            return self.number(start, "is not a number");
        }
        match error {
            Ron::ExpectedFloat
            | Ron::ExpectedInteger
            | Ron::FloatUnderscore
            | Ron::UnderscoreAtBeginning
            | Ron::InvalidIntegerDigit { .. } => self.number(self.token, "is not a number"),
            Ron::IntegerOutOfBounds => self.number(self.token, "is out of range"),
            Ron::NoSuchExtension(name) => {
                let message = format!("unknown extension `{}`", suggest::cut(&name));
                self.error(cursor - name.len()..cursor, message)
                    .with_help(suggest::help(&name, "allowed", EXTENSIONS))
            }
            Ron::ExpectedAttribute => {
                self.expected("`#![enable(..)]`, `#![type = \"..\"]` or `#![schema = \"..\"]`")
            }
            Ron::ExpectedAttributeEnd => self.expected("`]`, the end of the attribute"),
            Ron::ExpectedOption => self.option(self.token),
            Ron::ExpectedOptionEnd | Ron::UnexpectedChar(')') if self.is_second_in_some(cursor) => {
                self.option(self.open.last().map_or(self.token, |&open| self.some_before(open)))
            }
            Ron::ExpectedComma
            | Ron::ExpectedStructLikeEnd
            | Ron::ExpectedArrayEnd
            | Ron::ExpectedMapEnd
            | Ron::ExpectedOptionEnd => self.comma(),
            Ron::ExpectedMapColon => match &self.key {
                Some(key) if !self.inside_map() => {
                    self.expected(&format!("`:` after the field `{}`", suggest::cut(&self.text[key.clone()])))
                }
                _ => self.expected("`:` after the key"),
            },
            Ron::SuggestRawIdentifier(name) if name.starts_with(|c: char| c == '_' || c.is_alphabetic()) => {
                self.not_a_name(cursor..cursor + name.len())
            }
            Ron::ExpectedIdentifier | Ron::SuggestRawIdentifier(_) if !self.open.is_empty() => {
                self.expected("a field, `name: value`")
            }
            Ron::TrailingCharacters => match self.next() {
                Some(found) => self.error(self.found_here(), format!("`{found}` after the end of the value")),
                None => self.expected("the end of the text"),
            },
            Ron::UnexpectedChar(_) | Ron::Eof => self.expected("a value"),
            Ron::ExpectedString => self
                .error(self.token..cursor, "`r#` does not begin a name or a string here")
                .with_help("write the name without it, or r#name; a raw string is r#\"..\"#"),
            other => self.error(self.found_here(), lower(&other.to_string())),
        }
    }

    /// The error of an attribute before the value.
    pub(super) fn explain_header(mut self, error: SpannedError) -> ConfigError {
        let offset = self.offset_of(&error.span.end);
        self.token = self.offset_of(&error.span.start);
        let remainder = &self.text[offset..];
        self.explain(error.code, remainder)
    }

    /// The error of a word that starts like a name and is none, such as `café.au`.
    pub(super) fn not_a_name(&self, span: Span) -> ConfigError {
        let name = suggest::cut(&self.text[span.clone()]);
        self.error(span, format!("`{name}` is not a name")).with_help(format!(
            "a name has letters, digits and `_`; a text goes between double quotes, \"{name}\""
        ))
    }

    fn offset_of(&self, position: &ron::error::Position) -> usize {
        let text = self.rest();
        let line = match position.line {
            0 | 1 => 0,
            line => text.match_indices('\n').nth(line - 2).map_or(text.len(), |(at, _)| at + 1),
        };
        let column = text[line..].char_indices().nth(position.col.saturating_sub(1));
        self.offset + column.map_or(text.len(), |(at, _)| line + at)
    }

    fn token_begins(&self, with: &[char]) -> bool {
        self.text[self.token..].starts_with(with)
    }

    fn open_string(&self) -> ConfigError {
        let line = self.text[self.token..].lines().next().unwrap_or("").len();
        self.error(self.token..self.token + line, "this string is never closed")
    }

    fn character(&self, cursor: usize) -> ConfigError {
        let end = cursor + self.text[cursor..].find(['\'', '\n']).unwrap_or(0);
        self.error(self.token..end, "a character is one letter between `'`")
            .with_help("a text goes between double quotes, \"like this\"")
    }

    fn lone_slash(&self, at: usize) -> ConfigError {
        self.error(at..at + 1, "`/` does not begin a comment here")
            .with_help("a comment is `// to the end of the line` or `/* .. */`")
    }

    fn option(&self, start: usize) -> ConfigError {
        let length = if self.text[start..].starts_with("Some") { 4 } else { 1 };
        self.error(start..start + length, "an option is `Some(value)` or `None`")
            .with_help("several fields go into parentheses of their own: `Some((a: 1, b: 2))`")
    }

    /// Whether `Some(` contains nothing, a field, or a second value.
    fn is_second_in_some(&self, cursor: usize) -> bool {
        let Some(&open) = self.open.last() else { return false };
        let before = self.text[..cursor].trim_end();
        let named_some = self.some_before(open) != open;
        named_some && (before.ends_with([',', '(']) || self.rest().starts_with(':'))
    }

    fn close(&self, open: usize) -> char {
        match self.text.as_bytes().get(open) {
            Some(b'[') => ']',
            Some(b'{') => '}',
            _ => ')',
        }
    }

    fn inside_map(&self) -> bool {
        self.open.last().is_some_and(|&open| self.close(open) == '}')
    }

    /// The place of the `Some` before a bracket, or the bracket if there is none.
    fn some_before(&self, open: usize) -> usize {
        let before = self.text[..open].trim_end();
        before.strip_suffix("Some").map_or(open, str::len)
    }

    fn comma(&self) -> ConfigError {
        let close = self.open.last().map_or(')', |&open| self.close(open));
        let error = self.expected(&format!("`,` or `{close}`"));
        match self.next() {
            Some(c) if c == '_' || c == '"' || c.is_alphabetic() => {
                error.with_help("is a comma missing before it?")
            }
            _ => error,
        }
    }

    /// The beginning of a number that continues at `cursor`.
    fn within_number(&self, cursor: usize) -> Option<usize> {
        let start = self.text[..cursor]
            .rfind(|c| !in_number(c))
            .map_or(0, |before| before + self.text[before..].chars().next().map_or(0, char::len_utf8));
        let begins = |c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-');
        let goes_on = start < cursor && self.text[cursor..].starts_with(in_number);
        (goes_on && self.text[start..].starts_with(begins)).then_some(start)
    }

    /// The number at `start`, with everything attached to it.
    fn number(&self, start: usize, what: &str) -> ConfigError {
        let rest = &self.text[start..];
        let span = start..start + rest.find(|c| !in_number(c)).unwrap_or(rest.len());
        let text = suggest::cut(&self.text[span.clone()]);
        self.error(span, format!("`{text}` {what}"))
    }

    /// The outermost comment after `from` that does not end.
    fn open_comment(&self, from: usize) -> ConfigError {
        let mut open = Vec::new();
        let mut at = from;
        while let Some(next) = self.text[at..].find(['/', '*']).map(|found| at + found) {
            let rest = &self.text[next..];
            at = next + 2;
            if rest.starts_with("/*") {
                open.push(next);
            } else if rest.starts_with("*/") {
                open.pop();
            } else if rest.starts_with("//") && open.is_empty() {
                at = next + rest.find('\n').unwrap_or(rest.len());
            } else {
                at = next + 1;
            }
        }
        let start = open.first().copied().unwrap_or(from);
        self.error(start..start + 2, "this comment is never closed").with_help("end it with `*/`")
    }

    fn next(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The current character.
    pub(super) fn found_here(&self) -> Span {
        self.offset..self.offset + self.next().map_or(0, char::len_utf8)
    }

    fn error(&self, span: Span, message: impl Into<String>) -> ConfigError {
        ConfigError::new(message).at(self.source, span, "")
    }

    fn expected(&self, what: &str) -> ConfigError {
        let rest = self.rest();
        let word = &rest[..rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len())];
        let (span, found) = match self.next() {
            None => (self.found_here(), "the end of the text".to_owned()),
            Some(c) if word.is_empty() => (self.found_here(), format!("`{c}`")),
            Some(_) => (self.offset..self.offset + word.len(), format!("`{}`", suggest::cut(word))),
        };
        self.error(span, format!("expected {what}, found {found}"))
    }
}

fn in_number(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '+' | '-')
}

fn lower(message: &str) -> String {
    let mut chars = message.chars();
    chars.next().map_or(String::new(), |first| first.to_lowercase().chain(chars).collect())
}
