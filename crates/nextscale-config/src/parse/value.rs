//! Values: what begins here, and the brackets that hold others.

use std::sync::Arc;

use crate::{ConfigError, Field, Node, Result, Span, Value};

use super::{
    cursor::{Cursor, is_name_start},
    number::special,
};

impl Cursor<'_> {
    /// The value that begins at this place.
    pub(super) fn value(&mut self) -> Result<Node> {
        let start = self.offset;
        let value = self.nested(Self::bare_value)?;
        Ok(Node { value, span: start..self.offset, source: Arc::clone(self.source) })
    }

    fn bare_value(&mut self) -> Result<Value> {
        for (start, what, instead) in [
            ("b\"", "a byte string", "write a string without the `b`"),
            ("br\"", "a byte string", "write a string without the `b`"),
            ("br#", "a byte string", "write a string without the `b`"),
            ("b'", "a byte literal", "write its number"),
            ("..", "a range `a..b`", "write a tuple, `(a, b)`"),
        ] {
            if self.starts_with(start) {
                return Err(self.unsupported(what, instead));
            }
        }
        let raw = self.starts_with("r#");
        if let Some(name) = self.name() {
            // `r#true` is a name, `true` is not.
            return match keyword(name).filter(|_| !raw) {
                Some(value) => Ok(value),
                None => self.named(name.to_owned()),
            };
        }
        match self.peek() {
            Some('(') => self.parenthesised(None),
            Some('[') => self.list(),
            Some('{') => self.map(),
            Some('"' | 'r') => self.string().map(Value::Str),
            Some('\'') => self.character().map(Value::Char),
            Some('0'..='9' | '+' | '-' | '.') => self.number(),
            Some(c) if c.is_alphabetic() => {
                Err(self.expected("a value").with_help("names are ASCII; a text goes between double quotes"))
            }
            _ => Err(self.expected("a value")),
        }
    }

    /// What follows a name: nothing, or parentheses.
    fn named(&mut self, name: String) -> Result<Value> {
        let start = self.offset;
        self.skip_space()?;
        // `Some` and `None` are an option's, and nothing else may have these names.
        let (some, none) = (name == "Some", name == "None");
        let value = if self.starts_with("(") {
            self.parenthesised(Some(name))?
        } else {
            self.offset = start;
            Value::Ident(name)
        };
        let fits = match &value {
            Value::Ident(_) => !some,
            Value::Tuple { items, .. } if some => items.len() == 1,
            _ => !some && !none,
        };
        if fits {
            return Ok(value);
        }
        let error = self.error(start - 4..start, "an option is `Some(value)` or `None`");
        Err(error.with_help("several fields go into parentheses of their own: `Some((a: 1, b: 2))`"))
    }

    fn parenthesised(&mut self, name: Option<String>) -> Result<Value> {
        let open = self.offset;
        self.advance(1);
        self.skip_space()?;
        if self.at_field() {
            let mut fields = Vec::new();
            self.items(open, ')', |cursor| {
                let field = cursor.field(&fields)?;
                fields.push(field);
                Ok(())
            })?;
            return Ok(Value::Struct { name, fields });
        }
        let mut items = Vec::new();
        self.items(open, ')', |cursor| {
            items.push(cursor.value()?);
            Ok(())
        })?;
        match name {
            None if items.is_empty() => Ok(Value::Unit),
            name => Ok(Value::Tuple { name, items }),
        }
    }

    /// Whether `name:` stands here, which tells a struct from a tuple.
    fn at_field(&mut self) -> bool {
        let start = self.offset;
        let found = self.name().is_some() && self.skip_space().is_ok() && self.starts_with(":");
        self.offset = start;
        found
    }

    fn field(&mut self, earlier: &[Field]) -> Result<Field> {
        let start = self.offset;
        let Some(name) = self.name() else { return Err(self.expected("a field, `name: value`")) };
        let span = start..self.offset;
        if let Some(first) = earlier.iter().find(|field| field.name == name) {
            return Err(self.twice(&format!("the field `{name}`"), span, first.span.clone()));
        }
        self.colon(&format!("`:` after the field `{name}`"))?;
        Ok(Field { name: name.to_owned(), span, node: self.value()? })
    }

    fn colon(&mut self, what: &str) -> Result<()> {
        self.skip_space()?;
        if !self.take(":") {
            return Err(self.expected(what));
        }
        self.skip_space()
    }

    fn list(&mut self) -> Result<Value> {
        let open = self.offset;
        self.advance(1);
        let mut items = Vec::new();
        self.items(open, ']', |cursor| {
            items.push(cursor.value()?);
            Ok(())
        })?;
        Ok(Value::List(items))
    }

    fn map(&mut self) -> Result<Value> {
        let open = self.offset;
        self.advance(1);
        let mut entries = Vec::new();
        self.items(open, '}', |cursor| {
            let key = cursor.value()?;
            if let Some((first, _)) = entries.iter().find(|(earlier, _): &&(Node, Node)| *earlier == key) {
                return Err(cursor.twice("this key", key.span, first.span.clone()));
            }
            cursor.colon("`:` after the key")?;
            entries.push((key, cursor.value()?));
            Ok(())
        })?;
        Ok(Value::Map(entries))
    }

    /// Items between commas up to `close`, the last comma optional.
    fn items(
        &mut self,
        open: usize,
        close: char,
        mut item: impl FnMut(&mut Self) -> Result<()>,
    ) -> Result<()> {
        loop {
            self.skip_space()?;
            match self.peek() {
                Some(c) if c == close => break self.advance(1),
                Some(_) => item(self)?,
                None => return Err(self.never_closed(open, close)),
            }
            self.skip_space()?;
            match self.peek() {
                Some(',') => self.advance(1),
                Some(c) if c == close => {}
                None => return Err(self.never_closed(open, close)),
                Some(_) if self.starts_with("..") => {
                    return Err(self.unsupported("a range `a..b`", "write a tuple, `(a, b)`"));
                }
                Some(c) => {
                    let error = self.expected(&format!("`,` or `{close}`"));
                    let help = "is a comma missing before it?";
                    return Err(if is_name_start(c) || c == '"' { error.with_help(help) } else { error });
                }
            }
        }
        Ok(())
    }

    fn twice(&self, what: &str, second: Span, first: Span) -> ConfigError {
        ConfigError::new(format!("{what} is given twice"))
            .at(self.source, second, "the second time")
            .also_at(self.source, first, "the first time")
            .with_help("remove one of the two")
    }

    fn never_closed(&self, open: usize, close: char) -> ConfigError {
        self.error(open..open + 1, "this bracket is never closed")
            .with_help(format!("a `{close}` is missing"))
    }
}

/// The value of a word that is not a name: `true`, `false`, `inf`, `NaN`.
pub(crate) fn keyword(word: &str) -> Option<Value> {
    match word {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ => special(word).map(Value::Float),
    }
}

#[cfg(test)]
mod tests {
    use crate::{Document, Value};

    fn parse(text: &str) -> Value {
        Document::parse("a.ron", text).unwrap().value
    }

    #[test]
    fn names_are_kept() {
        assert_eq!(parse("Conditional"), Value::Ident("Conditional".into()));
        assert_eq!(parse("Dse()"), Value::Tuple { name: Some("Dse".into()), items: vec![] });
        assert!(matches!(parse("Cfg (scale: 1)"), Value::Struct { name: Some(name), .. } if name == "Cfg"));
        assert!(
            matches!(parse("Some(3)"), Value::Tuple { name: Some(name), items } if name == "Some" && items.len() == 1)
        );
        assert_eq!(parse("r#type"), Value::Ident("type".into()));
        assert_eq!(parse("()"), Value::Unit);
    }

    #[test]
    fn maps_keep_their_order() {
        let Value::Map(entries) = parse("{\"b\": 1, \"a\": 2,}") else { panic!() };
        assert_eq!(entries[0].0.value, Value::Str("b".into()));
    }

    #[test]
    fn hostile_nesting_is_an_error_and_not_a_crash() {
        for open in ["(", "[", "{", "A(", "(a:"] {
            let error = Document::parse("a.ron", &open.repeat(100_000)).unwrap_err();
            assert!(error.message().contains("nested"), "{error}");
        }
    }

    #[test]
    fn broken_documents_are_refused() {
        for text in [
            "",
            "(a: 1",
            "(a 1)",
            "(a: 1 b: 2)",
            "(a: 1, 2)",
            "(1, a: 2)",
            "[1,,2]",
            "Some",
            "Some()",
            "Some(1, 2)",
            "Some(a: 1)",
            "None()",
            "{1}",
            "{1: 2, 1: 3}",
            "1 2",
            "(a: 1, a: 2)",
            "Name)",
            "(,)",
            "[,]",
            "{\"a\" 1}",
            "b\"x\"",
            "b'x'",
            "0..4",
            "..",
            "/* open",
            "(a:)",
            "é",
        ] {
            assert!(Document::parse("a.ron", text).is_err(), "{text}");
        }
    }
}
