//! Paths into a tree: `guidance.base.scale`, `variants[1].1.beta`.
//!
//! A path consists of field names (or keys of maps) joined by points; an item of a list or tuple is `[1]` or
//! `.1`, from 0. Newtypes such as `Var((tokenizer: ..))` or `Some(..)` are transparent: their fields belong
//! to their holder.

use crate::{
    ConfigError, Field, Node, Result, Span, Value,
    print::{Group, Lead},
    step::{Step, join},
    suggest,
};

/// Splits a path into its steps, with the bytes of each.
pub(crate) fn steps(path: &str) -> Result<Vec<(Step, Span)>> {
    let bad = || {
        ConfigError::new(format!("`{}` is not a path", suggest::cut(path)))
            .with_help("write field names joined by points, `guidance.beta`, and items as `variants[1]`")
    };
    let (mut steps, mut at) = (Vec::new(), 0);
    for part in path.split('.') {
        let end = at + part.len();
        let (name, mut indices) = part.split_at(part.find('[').unwrap_or(part.len()));
        match name.parse() {
            Ok(index) => steps.push((Step::Index(index), at..at + name.len())),
            Err(_) if !name.is_empty() => steps.push((Step::Name(name.to_owned()), at..at + name.len())),
            // `variants[1]` has one name; a part may begin with an index only at the start of the path,
            // `[1].beta`.
            Err(_) if steps.is_empty() && !indices.is_empty() => {}
            Err(_) => return Err(bad()),
        }
        while let Some(rest) = indices.strip_prefix('[') {
            let (index, after) = rest.split_once(']').ok_or_else(bad)?;
            let span = end - indices.len()..end - after.len();
            steps.push((Step::Index(index.parse().map_err(|_| bad())?), span));
            indices = after;
        }
        if !indices.is_empty() {
            return Err(bad());
        }
        at = end + 1;
    }
    Ok(steps)
}

impl Node {
    /// The node at a path such as `guidance.beta` or `variants[1].1.beta`.
    ///
    /// # Errors
    /// A path that leads nowhere; the hint lists what is there.
    pub fn get(&self, path: &str) -> Result<&Node> {
        let mut node = self;
        for (step, _) in &steps(path)? {
            node = node.child(step).ok_or_else(|| node.nothing_at(step, path))?;
        }
        Ok(node)
    }

    pub(crate) fn child(&self, step: &Step) -> Option<&Node> {
        match (&self.value, step) {
            (Value::Struct { fields, .. }, Step::Name(name)) => {
                fields.iter().find(|field| field.name == *name).map(|field| &field.node)
            }
            (Value::Map(entries), _) => {
                entries.iter().find(|(key, _)| key.is_key(step)).map(|(_, value)| value)
            }
            (Value::List(items) | Value::Tuple { items, .. }, Step::Index(index)) => items.get(*index),
            (Value::Tuple { name: Some(_), items }, Step::Name(_)) if items.len() == 1 => {
                items[0].child(step)
            }
            _ => None,
        }
    }

    /// The node that a step leads to, and how many levels deeper it is.
    pub(crate) fn child_mut(&mut self, step: &Step) -> Option<(&mut Node, usize)> {
        let child = match (&mut self.value, step) {
            (Value::Struct { fields, .. }, Step::Name(name)) => {
                fields.iter_mut().find(|field| field.name == *name).map(|field| &mut field.node)
            }
            (Value::Map(entries), _) => {
                entries.iter_mut().find(|(key, _)| key.is_key(step)).map(|(_, value)| value)
            }
            (Value::List(items) | Value::Tuple { items, .. }, Step::Index(index)) => items.get_mut(*index),
            (Value::Tuple { name: Some(_), items }, Step::Name(_)) if items.len() == 1 => {
                return items[0].child_mut(step).map(|(node, levels)| (node, levels + 1));
            }
            _ => None,
        };
        child.map(|node| (node, 1))
    }

    /// The field of this name, possibly inside the only content of a name.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        match &self.value {
            Value::Struct { fields, .. } => fields.iter().find(|field| field.name == name),
            Value::Tuple { name: Some(_), items } if items.len() == 1 => items[0].field(name),
            _ => None,
        }
    }

    /// The path to the first field of this name inside this node.
    pub(crate) fn path_to(&self, name: &str) -> Option<String> {
        let alone = matches!(&self.value, Value::Tuple { name: Some(_), items } if items.len() == 1);
        Group::of(self)?.parts.into_iter().find_map(|(lead, child)| {
            let rest = match child.field(name) {
                Some(_) => name.to_owned(),
                None => child.path_to(name)?,
            };
            match lead {
                Lead::Item(_) if alone => Some(rest),
                Lead::Item(index) => Some(join(&format!("[{index}]"), &rest)),
                Lead::Field(field) => Some(join(field, &rest)),
                Lead::Key(_) => None,
            }
        })
    }

    fn is_key(&self, step: &Step) -> bool {
        match (&self.value, step) {
            (Value::Str(key) | Value::Ident(key), Step::Name(name)) => key == name,
            (Value::Int(key), Step::Index(index)) => usize::try_from(*key) == Ok(*index),
            _ => false,
        }
    }

    /// The error for a step that leads nowhere from here, with a list of what is here.
    pub(crate) fn nothing_at(&self, step: &Step, path: &str) -> ConfigError {
        let holder = self.name().map_or("here".to_owned(), |name| format!("in `{}`", suggest::cut(name)));
        let (path_start, missing) = (suggest::cut(path), step.to_string());
        let missing = suggest::cut(&missing);
        let error = self.error(format!("`{path_start}` leads nowhere: there is no `{missing}` {holder}"));
        match (&self.value, step) {
            (Value::Struct { fields, .. }, Step::Name(name)) => error.with_help(suggest::help(
                name,
                "given here",
                fields.iter().map(|field| field.name.as_str()),
            )),
            (Value::Tuple { name: Some(_), items }, Step::Name(_)) if items.len() == 1 => {
                items[0].nothing_at(step, path)
            }
            (Value::Map(entries), Step::Name(name)) => {
                let keys = entries.iter().filter_map(|(key, _)| match &key.value {
                    Value::Str(key) | Value::Ident(key) => Some(key.as_str()),
                    _ => None,
                });
                error.with_help(suggest::help(name, "given here", keys))
            }
            (Value::List(items) | Value::Tuple { items, .. }, _) if !items.is_empty() => {
                error.with_help(format!("its items are [0] to [{}]", items.len() - 1))
            }
            _ => error.with_help("it has nothing of that name"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Document;

    fn tree() -> Node {
        let text = r#"(
            guidance: Ssg(base: Cfg(scale: 1.5), beta: 0.5),
            variants: [("none", Conditional), ("ssg", Ssg(beta: 0.25))],
            model: Var((tokenizer: "a.pth")),
            names: {"ship": 8, 3: "three"},
        )"#;
        Document::parse("a.ron", text).unwrap()
    }

    #[test]
    fn paths_reach_fields_items_keys_and_through_newtypes() {
        let tree = tree();
        for (path, found) in [
            ("guidance.beta", "0.5"),
            ("guidance.base.scale", "1.5"),
            ("variants[1].1.beta", "0.25"),
            ("variants[1][1].beta", "0.25"),
            ("variants.1.[0]", ""),
            ("model.tokenizer", "\"a.pth\""),
            ("names.ship", "8"),
            ("names[3]", "\"three\""),
        ] {
            match tree.get(path) {
                Ok(node) => assert_eq!(&node.source.text[node.span.clone()], found, "{path}"),
                Err(_) => assert_eq!(found, "", "{path}"),
            }
        }
    }

    #[test]
    fn a_path_that_leads_nowhere_names_what_is_there() {
        let tree = tree();
        let error = tree.get("guidance.bse.scale").unwrap_err();
        assert_eq!(error.message(), "`guidance.bse.scale` leads nowhere: there is no `bse` in `Ssg`");
        assert_eq!(error.help_text(), Some("did you mean `base`? given here: `base`, `beta`"));
        let error = tree.get("variants[7]").unwrap_err();
        assert_eq!(error.help_text(), Some("its items are [0] to [1]"));
        for path in ["", "a..b", "a[", "a[x]", "a[1]b", "."] {
            assert!(tree.get(path).unwrap_err().message().ends_with("is not a path"), "{path}");
        }
    }
}
