//! Strings, raw strings and characters, with RON's escapes.

use crate::{ConfigError, Result};

use super::cursor::Cursor;

impl Cursor<'_> {
    /// A string that begins here with `"` or `r`.
    pub(super) fn string(&mut self) -> Result<String> {
        if self.take("r") { self.raw_string() } else { self.escaped_string() }
    }

    fn raw_string(&mut self) -> Result<String> {
        let start = self.offset - 1;
        let hashes = self.take_while(|c| c == '#');
        if !self.take("\"") {
            return Err(self.expected("`\"`, the start of a raw string"));
        }
        let end = format!("\"{hashes}");
        let Some(length) = self.rest().find(&end) else { return Err(self.unclosed(start)) };
        let text = self.rest()[..length].to_owned();
        self.advance(length + end.len());
        Ok(text)
    }

    fn escaped_string(&mut self) -> Result<String> {
        let start = self.offset;
        self.advance(1);
        let mut text = String::new();
        loop {
            text.push_str(self.take_while(|c| c != '"' && c != '\\'));
            match self.peek() {
                None => return Err(self.unclosed(start)),
                Some('"') => {
                    self.advance(1);
                    return Ok(text);
                }
                Some(_) if self.starts_with("\\\n") || self.starts_with("\\\r\n") => {
                    self.advance(1);
                    self.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
                }
                Some(_) => text.push(self.escape(true)?),
            }
        }
    }

    /// A character that begins here with `'`.
    pub(super) fn character(&mut self) -> Result<char> {
        let start = self.offset;
        self.advance(1);
        let c = match self.peek() {
            Some('\\') => self.escape(false)?,
            Some(c) => {
                self.advance(c.len_utf8());
                c
            }
            None => return Err(self.expected("a character")),
        };
        if self.take("'") {
            return Ok(c);
        }
        let length = self.rest().find(['\'', '\n']).unwrap_or(0);
        let error = self.error(start..self.offset + length, "a character is one letter between `'`");
        Err(error.with_help("a text goes between double quotes, \"like this\""))
    }

    fn escape(&mut self, bytes_may_join: bool) -> Result<char> {
        let start = self.offset;
        self.advance(1);
        let plain = match self.next() {
            Some(c @ ('\'' | '"' | '\\')) => Some(c),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('0') => Some('\0'),
            Some('x') => self.byte_escape(bytes_may_join),
            Some('u') => self.unicode_escape(),
            _ => None,
        };
        plain.ok_or_else(|| {
            self.error(start..self.offset, "this escape means nothing").with_help(
                "known: \\\\ \\\" \\' \\n \\r \\t \\0 \\x41 \\u{e9}; a raw string r\"..\" has none",
            )
        })
    }

    /// `\xNN`; in a string, up to four in a row may spell one character in UTF-8.
    fn byte_escape(&mut self, bytes_may_join: bool) -> Option<char> {
        let mut bytes = Vec::with_capacity(4);
        loop {
            bytes.push(u8::try_from(self.hex(2, 2)?).ok()?);
            if let Some(c) = std::str::from_utf8(&bytes).ok().and_then(|text| text.chars().next()) {
                return Some(c);
            }
            if !bytes_may_join || bytes.len() == 4 || !self.take("\\x") {
                return None;
            }
        }
    }

    fn unicode_escape(&mut self) -> Option<char> {
        if !self.take("{") {
            return None;
        }
        let c = char::from_u32(self.hex(1, 6)?)?;
        self.take("}").then_some(c)
    }

    fn hex(&mut self, least: usize, most: usize) -> Option<u32> {
        let digits = self.rest().bytes().take(most).take_while(u8::is_ascii_hexdigit).count();
        if digits < least {
            return None;
        }
        let value = u32::from_str_radix(&self.rest()[..digits], 16).ok();
        self.advance(digits);
        value
    }

    fn unclosed(&self, start: usize) -> ConfigError {
        let line = self.source.text[start..].lines().next().unwrap_or("").len();
        self.error(start..start + line, "this string is never closed")
    }
}

#[cfg(test)]
mod tests {
    use crate::{Document, Value};

    fn string(text: &str) -> String {
        match Document::parse("a.ron", text).unwrap().value {
            Value::Str(value) => value,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn strings_with_escapes() {
        assert_eq!(string(r#""a\n\t\\\"\'\0é""#), "a\n\t\\\"'\0é");
        assert_eq!(string(r#""\x41\u{e9}\xc3\xa9""#), "Aéé");
        assert_eq!(string("\"one \\\n    two\""), "one two");
        assert_eq!(string("\"two\nlines\""), "two\nlines");
        assert_eq!(string(r###"r#"C:\dir "x""#"###), r#"C:\dir "x""#);
    }

    #[test]
    fn characters() {
        for (text, c) in [("'x'", 'x'), (r"'\n'", '\n'), ("'é'", 'é'), (r"'\''", '\''), ("'''", '\'')] {
            assert_eq!(Document::parse("a.ron", text).unwrap().value, Value::Char(c), "{text}");
        }
    }

    #[test]
    fn broken_ones_are_refused() {
        for text in [
            "\"open",
            "r#\"open\"",
            r#""\q""#,
            r#""\x4""#,
            r#""\xff""#,
            r#""\u{}""#,
            r#""\u{110000}""#,
            r#""\u{1234567}""#,
            "'ab'",
            "''",
            r"'\xc3\xa9'",
            "'",
        ] {
            assert!(Document::parse("a.ron", text).is_err(), "{text}");
        }
    }
}
