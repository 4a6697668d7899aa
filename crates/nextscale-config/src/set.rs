//! Overrides: `--set guidance.beta=0.4`, and the points of a sweep.

use std::sync::Arc;

use crate::{
    ConfigError, Field, Node, Result, Source, Value,
    parse::{MAX_DEPTH, parse_part},
    path::{Step, steps},
    suggest::cut,
};

impl Node {
    /// Carries out one `PATH=VALUE`, as `--set` takes it. The value is RON; a single word with a point or a slash in it
    /// that is no RON, such as `weights/vae.pth`, is taken as a string, because shells eat quotes.
    ///
    /// A last field that is not there yet is added, so that defaults can be overridden; if it does not exist for the
    /// struct, decoding says so and points into this text.
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

    /// Puts a value, given as RON text, in place of the one at a path; see [`Node::assign`].
    ///
    /// # Errors
    /// A value that is not RON, a path that leads nowhere.
    pub fn set(&mut self, path: &str, value: &str) -> Result<()> {
        let start = path.len() + 1;
        let source = Arc::new(Source { name: "--set".into(), text: format!("{path}={value}") });
        let span = start..source.text.len();
        let node = match parse_part(&source, span.clone()) {
            Ok(node) => node,
            Err(_) if is_word(value.trim()) => Node { value: Value::Str(value.trim().into()), span, source },
            Err(error) => return Err(error),
        };
        self.set_node(path, node)
    }

    /// Puts a node in place of the one at a path, or adds it as a struct's last field; see [`Node::assign`].
    ///
    /// # Errors
    /// A path that leads nowhere.
    pub fn set_node(&mut self, path: &str, value: Node) -> Result<()> {
        let steps = steps(path)?;
        if steps.len() + value.depth() > MAX_DEPTH {
            return Err(value.error(format!("with this, values are nested more than {MAX_DEPTH} deep")));
        }
        self.replace(&steps, path, value)
    }

    fn replace(&mut self, steps: &[Step], path: &str, value: Node) -> Result<()> {
        let [step, rest @ ..] = steps else {
            *self = value;
            return Ok(());
        };
        if let Some(child) = self.child_mut(step) {
            return child.replace(rest, path, value);
        }
        if rest.is_empty() { self.add(step, path, value) } else { Err(self.nothing_at(step, path)) }
    }

    fn add(&mut self, step: &Step, path: &str, value: Node) -> Result<()> {
        let Step::Name(name) = step else { return Err(self.nothing_at(step, path)) };
        // The name's place in `PATH=VALUE`; elsewhere the value stands for it.
        let end = path.len();
        let in_path = value.source.text.get(..=end).is_some_and(|text| text.strip_suffix('=') == Some(path));
        let span = if in_path { end - name.len()..end } else { value.span.clone() };
        let field = Field { name: name.clone(), span, node: value };
        match &mut self.value {
            Value::Struct { fields, .. } => fields.push(field),
            Value::Tuple { name: Some(_), items } if matches!(items.as_slice(), [item] if item.takes_fields()) =>
            {
                return items[0].add(step, path, field.node);
            }
            // `Dse()` and `Dse` have their defaults until the first field is given.
            Value::Tuple { name: holder, items } if items.is_empty() => {
                self.value = Value::Struct { name: holder.take(), fields: vec![field] };
            }
            Value::Unit => self.value = Value::Struct { name: None, fields: vec![field] },
            Value::Ident(holder) if holder != "None" => {
                self.value = Value::Struct { name: Some(std::mem::take(holder)), fields: vec![field] };
            }
            _ => return Err(self.nothing_at(step, path)),
        }
        Ok(())
    }

    fn takes_fields(&self) -> bool {
        matches!(self.value, Value::Struct { .. } | Value::Unit)
    }
}

/// Whether a text may stand for a string without quotes: one word, as file names are.
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
    fn what_cannot_be_set_is_explained() {
        let mut node = parsed("(a: 1, c: [1], n: None)");
        for assignment in ["a", "a.b=1", "x.y=1", "c[3]=1", "a=1 2", "a=", "a=one two", "n.x=1", "=3"] {
            assert!(node.assign(assignment).is_err(), "{assignment}");
        }
        assert_eq!(node, parsed("(a: 1, c: [1], n: None)"));
        assert_eq!(node.assign("a=[1").unwrap_err().location(), Some(("--set", 1, 3)));
    }
}
