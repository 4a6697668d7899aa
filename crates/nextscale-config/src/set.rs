//! Overrides: `--set guidance.beta=0.4`, and the points of a sweep.

use std::sync::Arc;

use crate::{
    ConfigError, Field, Node, Result, Source, Span, Value,
    parse::{MAX_DEPTH, is_name, parse_part},
    path::steps,
    print::Group,
    step::Step,
    suggest::cut,
};

/// The name of an override's text in reports.
pub(crate) const SET: &str = "--set";

impl Node {
    /// An error about this value as a whole: points at what an override changed in it, if anything, or else
    /// at the value. If the message begins with a field, as in `beta: ..`, overrides of other fields do not count.
    pub fn refused(&self, message: impl Into<String>) -> ConfigError {
        let message = message.into();
        let named = message.split_once(':').and_then(|(name, _)| self.field(name));
        let about = named.map_or(self, |field| &field.node);
        about.overridden().unwrap_or(self).error(message)
    }

    /// What an override put into this value.
    fn overridden(&self) -> Option<&Node> {
        if self.source.name == SET {
            return Some(self);
        }
        Group::of(self)?.parts.iter().rev().find_map(|(_, value)| value.overridden())
    }

    /// Carries out one `PATH=VALUE`, as in `--set`. The value is RON. A single word with a point or a slash
    /// that is not RON, such as `weights/vae.pth`, is read as a string, because shells remove quotes.
    ///
    /// A missing last field is added, so that defaults can be overridden. If the struct has no such field,
    /// decoding reports it and points into this text.
    ///
    /// # Errors
    /// No `=`, a value that is not RON, a path that leads nowhere.
    pub fn assign(&mut self, assignment: &str) -> Result<()> {
        let Some((path, value)) = assignment.split_once('=') else {
            return Err(ConfigError::new(format!("`{}` sets nothing", cut(assignment)))
                .with_help("write PATH=VALUE, as in `guidance.beta=0.4`"));
        };
        self.set(path.trim(), value)
    }

    /// Replaces the value at a path by RON text; see [`Node::assign`].
    ///
    /// # Errors
    /// A value that is not RON, a path that leads nowhere.
    pub fn set(&mut self, path: &str, value: &str) -> Result<()> {
        let start = path.len() + 1;
        let source = Arc::new(Source { name: SET.into(), text: format!("{path}={value}") });
        let span = start..source.text.len();
        let node = match parse_part(&source, span.clone()) {
            Ok(node) => node,
            Err(_) if is_word(value.trim()) => Node { value: Value::Str(value.trim().into()), span, source },
            Err(error) => return Err(error),
        };
        self.set_node(path, node)
    }

    /// Replaces the node at a path, or adds it as a struct's last field; see [`Node::assign`].
    ///
    /// # Errors
    /// A path that leads nowhere.
    pub fn set_node(&mut self, path: &str, value: Node) -> Result<()> {
        let target = Target {
            path,
            in_text: value.source.text.strip_prefix(path).is_some_and(|rest| rest.starts_with('=')),
        };
        let steps = steps(path).map_err(|error| target.point(error, &value, 0..path.len()))?;
        self.replace(&steps, target, value, 1)
    }

    /// `level` is the number of enclosing values, including this one.
    fn replace(
        &mut self,
        steps: &[(Step, Span)],
        target: Target<'_>,
        value: Node,
        level: usize,
    ) -> Result<()> {
        let [(step, span), rest @ ..] = steps else {
            value.fits_at(level)?;
            *self = value;
            return Ok(());
        };
        if let Some((child, levels)) = self.child_mut(step) {
            return child.replace(rest, target, value, level + levels);
        }
        let nowhere = |node: &Self| target.point(node.nothing_at(step, target.path), &value, span.clone());
        match step {
            Step::Name(name) if rest.is_empty() => {
                let Some((holder, levels)) = self.holder() else { return Err(nowhere(self)) };
                value.fits_at(level + levels)?;
                if !is_name(name) {
                    let error = ConfigError::new(format!("`{}` is not the name of a field", cut(name)));
                    return Err(target.point(error, &value, span.clone()));
                }
                // The name's place in `PATH=VALUE`; otherwise the value's.
                let span = if target.in_text { span.clone() } else { value.span.clone() };
                holder.add(Field { name: name.clone(), span, node: value });
                Ok(())
            }
            _ => Err(nowhere(self)),
        }
    }

    /// Refuses what would be nested too deep with `level` values around its innermost neighbour.
    fn fits_at(&self, level: usize) -> Result<()> {
        if level - 1 + self.depth() > MAX_DEPTH {
            return Err(self.error(format!("this would nest values more than {MAX_DEPTH} deep")));
        }
        Ok(())
    }

    /// The value that receives new fields, and how many levels deeper it is.
    fn holder(&mut self) -> Option<(&mut Node, usize)> {
        let takes = match &self.value {
            // `Dse()` and `Dse` have their defaults until the first field is given.
            Value::Tuple { items, .. } => items.is_empty(),
            Value::Ident(name) => name != "None",
            Value::Struct { .. } | Value::Unit => true,
            _ => false,
        };
        if takes {
            return Some((self, 1));
        }
        match &mut self.value {
            Value::Tuple { name: Some(_), items } => match items.as_mut_slice() {
                [item] if item.takes_fields() => Some((item, 2)),
                _ => None,
            },
            _ => None,
        }
    }

    fn add(&mut self, field: Field) {
        if let Value::Struct { fields, .. } = &mut self.value {
            return fields.push(field);
        }
        let name = match &mut self.value {
            Value::Tuple { name, .. } => name.take(),
            Value::Ident(name) => Some(std::mem::take(name)),
            _ => None,
        };
        self.value = Value::Struct { name, fields: vec![field] };
    }

    fn takes_fields(&self) -> bool {
        matches!(self.value, Value::Struct { .. } | Value::Unit)
    }
}

/// Where a value is put.
#[derive(Clone, Copy)]
struct Target<'a> {
    path: &'a str,
    /// Whether the path precedes the value, as in `PATH=VALUE`.
    in_text: bool,
}

impl Target<'_> {
    /// The error at this part of the path, if the path has a text.
    fn point(self, error: ConfigError, value: &Node, span: Span) -> ConfigError {
        if self.in_text { error.moved_to(&value.source, span) } else { error }
    }
}

/// Whether a text can be a string without quotes: a single word, like a file name.
fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || "._-/~+@".contains(c))
        && text.contains(['.', '/'])
        && text.chars().any(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Document;

    fn after(text: &str, assignment: &str) -> Node {
        let mut node = Document::parse("a.ron", text).unwrap();
        node.assign(assignment).unwrap();
        node
    }

    fn parsed(text: &str) -> Node {
        Document::parse("b.ron", text).unwrap()
    }

    #[test]
    fn values_are_replaced_and_defaults_overridden() {
        for (text, assignment, expected) in [
            ("(a: 1, b: 2)", "b = 3", "(a: 1, b: 3)"),
            ("(a: [1, 2])", "a[1]=Cfg(scale: 2)", "(a: [1, Cfg(scale: 2)])"),
            ("(a: Cfg(x: 1))", "a.y=2", "(a: Cfg(x: 1, y: 2))"),
            ("(a: Dse())", "a.y=2", "(a: Dse(y: 2))"),
            ("(a: Dse)", "a.y=2", "(a: Dse(y: 2))"),
            ("(a: Var((x: 1)))", "a.y=2", "(a: Var((x: 1, y: 2)))"),
            ("()", "a=2", "(a: 2)"),
            ("(a: \"x\")", "a=weights/vae.pth", "(a: \"weights/vae.pth\")"),
            ("(a: 1)", "a=\"x=y\"", "(a: \"x=y\")"),
        ] {
            assert_eq!(after(text, assignment), parsed(expected), "{assignment}");
        }
    }

    #[test]
    fn a_new_field_points_into_the_override() {
        let node = after("(a: Cfg(x: 1))", "a.betta=2");
        let Value::Struct { fields, .. } = &node.get("a").unwrap().value else { panic!() };
        assert_eq!(&fields[1].node.source.text[fields[1].span.clone()], "betta");
        assert_eq!(fields[1].node.source.name, "--set");
    }

    #[test]
    fn what_is_wrong_with_a_path_is_shown_in_it() {
        let mut node = parsed("(a: Cfg(x: 1), c: [1])");
        for (assignment, column) in [
            ("b.x=1", 1),
            ("a.y.z=1", 3),
            ("c[3]=1", 2),
            ("c[0].x=1", 6),
            ("a..x=1", 1),
            ("a.x y=1", 3),
            (" a.x = 1 2", 8),
        ] {
            let error = node.assign(assignment).unwrap_err();
            assert_eq!(error.location(), Some(("--set", 1, column)), "{assignment}: {error}");
        }
    }

    #[test]
    fn an_optional_field_is_switched_off() {
        let node = after("(a: Cfg(x: 1), b: 2)", "a=None");
        let mut fields = node.fields().unwrap();
        assert_eq!(fields.node_option("a"), None);
        assert_eq!(fields.take_or("b", 1).unwrap(), 2);
        fields.finish().unwrap();
        let off = after("(b: 2)", "b=None");
        assert_eq!(off.fields().unwrap().take_or("b", 1).unwrap(), 1);
        assert!(off.fields().unwrap().take::<u8>("b").is_err());
    }

    #[test]
    fn what_is_refused_as_a_whole_points_at_the_override() {
        let node = parsed("(a: Cfg(x: (y: 1), z: 2))");
        assert_eq!(node.get("a").unwrap().refused("no").location(), Some(("b.ron", 1, 5)));
        let node = after("(a: Cfg(x: (y: 1), z: 2))", "a.x.y=-3");
        assert_eq!(node.get("a").unwrap().refused("no").location(), Some(("--set", 1, 7)));
    }

    #[test]
    fn an_override_of_another_field_than_the_refused_one_is_not_pointed_at() {
        let mut node = after("(a: Cfg(x: 1, z: 2))", "a.x=3");
        let place = |node: &Node, message: &str| {
            node.get("a")
                .unwrap()
                .refused(message)
                .location()
                .map(|(name, _, column)| (name.to_owned(), column))
        };
        let at = |name: &str, column| Some((name.to_owned(), column));
        assert_eq!(place(&node, "x: too large"), at("--set", 5));
        assert_eq!(place(&node, "z: too large"), at("a.ron", 5));
        // The last override is of another field.
        node.assign("a.z=7").unwrap();
        node.assign("a.new=1").unwrap();
        assert_eq!(place(&node, "z: too large"), at("--set", 5));
        assert_eq!(place(&node, "x and z: too large"), at("--set", 7));
    }

    #[test]
    fn what_cannot_be_set_is_explained() {
        let mut node = parsed("(a: 1, c: [1], n: None)");
        for assignment in ["a", "a.b=1", "x.y=1", "c[3]=1", "a=1 2", "a=", "a=one two", "n.x=1", "=3"] {
            assert!(node.assign(assignment).is_err(), "{assignment}");
        }
        assert_eq!(node, parsed("(a: 1, c: [1], n: None)"));
        assert_eq!(node.assign("a=[1").unwrap_err().location(), Some(("--set", 1, 3)));
    }
}
