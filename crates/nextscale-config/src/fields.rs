//! Reading by hand, for registries: a name selects the reader, which takes its fields one by one.

use serde::de::DeserializeOwned;

use crate::{ConfigError, Field, Node, Result, Value, set::SET, suggest};

/// A named value: `Conditional`, `Cfg(scale: 1.5)`, `PerClass(50)`.
#[derive(Clone, Copy, Debug)]
pub struct Variant<'a> {
    name: &'a str,
    node: &'a Node,
}

/// The fields of a struct, taken by name. Whatever is left at the end is an error.
#[derive(Debug)]
pub struct Fields<'a> {
    node: &'a Node,
    fields: &'a [Field],
    asked: Vec<&'static str>,
}

impl Node {
    /// This value as a named one.
    ///
    /// # Errors
    /// A value without a name.
    pub fn variant(&self) -> Result<Variant<'_>> {
        match self.name() {
            Some(name) => Ok(Variant { name, node: self }),
            None => Err(self
                .error(format!("expected a name such as `Name(..)`, found {}", self.found()))
                .with_help("write a name before the parentheses")),
        }
    }

    /// The fields of this struct, with or without a name.
    ///
    /// # Errors
    /// A value without named fields.
    pub fn fields(&self) -> Result<Fields<'_>> {
        let fields: &[Field] = match &self.value {
            Value::Struct { fields, .. } => fields,
            Value::Unit | Value::Ident(_) => &[],
            Value::Tuple { name: Some(_), items } => match items.as_slice() {
                [] => &[],
                [item] if matches!(item.value, Value::Struct { name: None, .. } | Value::Unit) => {
                    return item.fields();
                }
                _ => return Err(self.no_fields()),
            },
            _ => return Err(self.no_fields()),
        };
        Ok(Fields { node: self, fields, asked: Vec::new() })
    }

    /// The error of an unknown field. An override may have meant a field further inside.
    pub(crate) fn unknown_field<'a>(
        &self,
        field: &Field,
        of: &str,
        allowed: impl IntoIterator<Item = &'a str> + Clone,
    ) -> ConfigError {
        let error = ConfigError::new(format!("unknown field `{}`{of}", suggest::cut(&field.name)));
        let error = error.at(&field.node.source, field.span.clone(), "");
        if field.node.source.name != SET {
            return error.with_help(suggest::help(&field.name, "allowed", allowed));
        }
        let near = suggest::nearest(&field.name, allowed.clone()).map(str::to_owned);
        let list = suggest::list("allowed", allowed);
        error.with_help(match self.path_to(&field.name).or(near) {
            Some(near) => format!("did you mean `{near}`? {list}"),
            // It was written without a path.
            None if field.span.start == 0 => {
                let name = suggest::cut(&field.name);
                format!("set a field inside one of these by its path, `FIELD.{name}`; {list}")
            }
            None => list,
        })
    }

    fn no_fields(&self) -> ConfigError {
        let error = self.error(format!("expected named fields, found {}", self.found()));
        error.with_help("write `Name(field: value, ..)`")
    }
}

impl<'a> Variant<'a> {
    /// The name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The whole value, including its name.
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// Its fields, to be taken one by one.
    ///
    /// # Errors
    /// Items without names, as in `PerClass(50)`.
    pub fn fields(&self) -> Result<Fields<'a>> {
        self.node.fields()
    }

    /// Decodes the content of the parentheses: a struct of the fields, or the single item.
    ///
    /// # Errors
    /// Whatever does not fit `T`, as in [`Node::decode`].
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        self.node.decode_payload()
    }

    /// The error for a name without a reader; `what` is its kind, such as "guidance rule".
    pub fn unknown<'b>(&self, what: &str, allowed: impl IntoIterator<Item = &'b str> + Clone) -> ConfigError {
        let end = self.node.span.start + self.name.len();
        ConfigError::new(format!("unknown {what} `{}`", suggest::cut(self.name)))
            .at(&self.node.source, self.node.span.start..end.min(self.node.span.end), "")
            .with_help(suggest::help(self.name, "allowed", allowed))
    }
}

impl<'a> Fields<'a> {
    /// A required field, decoded.
    ///
    /// # Errors
    /// A missing field, or one that does not fit `T`.
    pub fn take<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<T> {
        self.node(name)?.decode().map_err(|error| error.inside(name))
    }

    /// A field, decoded, or `default` if it is absent.
    ///
    /// # Errors
    /// A field that does not fit `T`.
    pub fn take_or<T: DeserializeOwned>(&mut self, name: &'static str, default: T) -> Result<T> {
        Ok(self.take_option(name)?.unwrap_or(default))
    }

    /// A field, decoded, or `None` if it is absent or written `None`.
    ///
    /// # Errors
    /// A field that does not fit `T`.
    pub fn take_option<T: DeserializeOwned>(&mut self, name: &'static str) -> Result<Option<T>> {
        let Some(node) = self.node_option(name) else { return Ok(None) };
        node.decode().map_err(|error| error.inside(name))
    }

    /// A required field, undecoded.
    ///
    /// # Errors
    /// A missing field.
    pub fn node(&mut self, name: &'static str) -> Result<&'a Node> {
        self.asked.push(name);
        self.find(name).ok_or_else(|| {
            let of = self.node.name().map_or(String::new(), |name| format!(" of `{name}`"));
            let error = self.node.error(format!("missing field `{name}`{of}"));
            match suggest::nearest(name, self.fields.iter().map(|field| field.name.as_str())) {
                Some(near) => error.with_help(format!("did you mean `{name}` instead of `{near}`?")),
                None => error.with_help(format!("add `{name}: ..` here")),
            }
        })
    }

    /// An undecoded field, if it is present and not `None`.
    pub fn node_option(&mut self, name: &'static str) -> Option<&'a Node> {
        self.asked.push(name);
        self.find(name).filter(|node| !matches!(&node.value, Value::Ident(name) if name == "None"))
    }

    fn find(&self, name: &str) -> Option<&'a Node> {
        self.fields.iter().find(|field| field.name == name).map(|field| &field.node)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// A field that nobody took: it is unknown, and the allowed ones are those that were asked for.
    pub fn finish(&self) -> Result<()> {
        let asked = &self.asked;
        match self.fields.iter().find(|field| !asked.contains(&field.name.as_str())) {
            None => Ok(()),
            Some(field) => {
                let of = self.node.name().map_or(String::new(), |name| format!(" of `{name}`"));
                Err(self.node.unknown_field(field, &of, asked.iter().copied()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Document;

    fn parse(text: &str) -> Node {
        Document::parse("a.ron", text).unwrap()
    }

    #[test]
    fn fields_are_taken_by_name() {
        let node = parse("Ssg(base: Cfg(scale: 2), beta: 0.5)");
        let rule = node.variant().unwrap();
        assert_eq!(rule.name(), "Ssg");
        let mut fields = rule.fields().unwrap();
        assert_eq!(fields.node("base").unwrap().variant().unwrap().name(), "Cfg");
        assert_eq!(fields.take::<f32>("beta").unwrap(), 0.5);
        assert_eq!(fields.take_or("fraction", 1.0).unwrap(), 1.0);
        fields.finish().unwrap();
    }

    #[test]
    fn left_overs_are_unknown_fields() {
        let node = parse("Cfg(scale: 1, sacle: 2)");
        let mut fields = node.fields().unwrap();
        fields.take::<f64>("scale").unwrap();
        let error = fields.finish().unwrap_err();
        assert_eq!(error.message(), "unknown field `sacle` of `Cfg`");
        assert_eq!(error.help_text(), Some("did you mean `scale`? allowed: `scale`"));
        assert_eq!(error.location(), Some(("a.ron", 1, 15)));
    }

    #[test]
    fn a_missing_field_names_its_likely_slip() {
        let node = parse("Cfg(sacle: 2)");
        let error = node.fields().unwrap().take::<f64>("scale").unwrap_err();
        assert_eq!(error.message(), "missing field `scale` of `Cfg`");
        assert_eq!(error.help_text(), Some("did you mean `scale` instead of `sacle`?"));
    }

    #[test]
    fn payloads_decode_and_unknown_names_are_listed() {
        assert_eq!(parse("PerClass(50)").variant().unwrap().decode::<u32>().unwrap(), 50);
        assert!(parse("PerClass(50)").fields().is_err());
        assert!(parse("3").variant().is_err());
        let node = parse("Sgs(beta: 1)");
        let error = node.variant().unwrap().unknown("guidance rule", ["Cfg", "Ssg"]);
        assert_eq!(error.message(), "unknown guidance rule `Sgs`");
        assert_eq!(error.help_text(), Some("did you mean `Ssg`? allowed: `Cfg`, `Ssg`"));
        assert_eq!(error.location(), Some(("a.ron", 1, 1)));
    }
}
