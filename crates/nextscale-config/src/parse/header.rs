//! The attributes before the value: `#![enable(implicit_some)]`, `#![type = ".."]`, `#![schema = ".."]`.
//!
//! They change nothing: plain values are always taken for options, and fields of newtypes without extra parentheses.

use crate::{Result, suggest};

use super::cursor::Cursor;

const EXTENSIONS: [&str; 4] =
    ["unwrap_newtypes", "implicit_some", "unwrap_variant_newtypes", "explicit_struct_names"];

impl Cursor<'_> {
    pub(super) fn header(&mut self) -> Result<()> {
        self.skip_space()?;
        while self.take("#") {
            for mark in ["!", "["] {
                self.expect_mark(mark)?;
            }
            self.skip_space()?;
            match self.name() {
                Some("enable") => self.extensions()?,
                Some("type" | "schema") => {
                    self.expect_mark("=")?;
                    self.skip_space()?;
                    if !(self.starts_with("\"") || self.starts_with("r")) {
                        return Err(self.expected("a string"));
                    }
                    self.string()?;
                }
                _ => return Err(self.expected("`enable(..)`, `type = \"..\"` or `schema = \"..\"`")),
            }
            self.expect_mark("]")?;
            self.skip_space()?;
        }
        Ok(())
    }

    fn extensions(&mut self) -> Result<()> {
        self.expect_mark("(")?;
        loop {
            self.skip_space()?;
            let start = self.offset;
            let name = self.name().ok_or_else(|| self.expected("the name of an extension"))?;
            if !EXTENSIONS.contains(&name) {
                let error = self.error(start..self.offset, format!("unknown extension `{name}`"));
                return Err(error.with_help(suggest::help(name, "allowed", EXTENSIONS)));
            }
            self.skip_space()?;
            let comma = self.take(",");
            self.skip_space()?;
            if self.take(")") {
                return Ok(());
            }
            if !comma {
                return Err(self.expected("`,` or `)`"));
            }
        }
    }

    fn expect_mark(&mut self, mark: &str) -> Result<()> {
        self.skip_space()?;
        if self.take(mark) { Ok(()) } else { Err(self.expected(&format!("`{mark}`"))) }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Document, Value};

    #[test]
    fn attributes_are_accepted_and_change_nothing() {
        for text in [
            "#![enable(implicit_some)]\n7",
            "#![enable(unwrap_newtypes, implicit_some,)] #![type = \"x\"] 7",
            "// first\n# ! [ schema = r\"y\" ] 7",
        ] {
            assert_eq!(Document::parse("a.ron", text).unwrap().value, Value::Int(7), "{text}");
        }
    }

    #[test]
    fn an_unknown_extension_is_named() {
        let error = Document::parse("a.ron", "#![enable(implicit_som)] 7").unwrap_err();
        assert_eq!(error.message(), "unknown extension `implicit_som`");
        assert_eq!(error.location(), Some(("a.ron", 1, 11)));
    }
}
