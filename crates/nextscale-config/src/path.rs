//! Paths into a tree: `guidance.base.scale`, `variants[1].1.beta`.
//!
//! A path is field names (or keys of maps) joined by points; an item of a list or tuple is `[1]` or `.1`, from 0.
//! A newtype such as `Var((tokenizer: ..))` or `Some(..)` is looked through: its fields belong to its holder.

use crate::{ConfigError, Node, Result, Value, suggest};

/// One step of a path, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Name(String),
    Index(usize),
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// Splits a path into its steps.
pub(crate) fn steps(path: &str) -> Result<Vec<Step>> {
    let bad = || {
        ConfigError::new(format!("`{}` is not a path", suggest::cut(path)))
            .with_help("write field names joined by points, `guidance.beta`, and items as `variants[1]`")
    };
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (name, mut indices) = part.split_at(part.find('[').unwrap_or(part.len()));
        match name.parse() {
            Ok(index) => steps.push(Step::Index(index)),
            Err(_) if !name.is_empty() => steps.push(Step::Name(name.to_owned())),
            // `variants[1]` has one name; a part may begin with an index only at the very start, `[1].beta`.
            Err(_) if steps.is_empty() && !indices.is_empty() => {}
            Err(_) => return Err(bad()),
        }
        while let Some(rest) = indices.strip_prefix('[') {
            let (index, after) = rest.split_once(']').ok_or_else(bad)?;
            steps.push(Step::Index(index.parse().map_err(|_| bad())?));
            indices = after;
        }
        if !indices.is_empty() {
            return Err(bad());
        }
    }
    Ok(steps)
}

impl Node {
    /// The node at a path such as `guidance.beta` or `variants[1].1.beta`.
    ///
    /// # Errors
    /// A path that leads nowhere; the hint names what is there.
    pub fn get(&self, path: &str) -> Result<&Node> {
        let mut node = self;
        for step in &steps(path)? {
            node = node.child(step).ok_or_else(|| node.nothing_at(step, path))?;
        }
        Ok(node)
    }

    fn child(&self, step: &Step) -> Option<&Node> {
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

    pub(crate) fn child_mut(&mut self, step: &Step) -> Option<&mut Node> {
        match (&mut self.value, step) {
            (Value::Struct { fields, .. }, Step::Name(name)) => {
                fields.iter_mut().find(|field| field.name == *name).map(|field| &mut field.node)
            }
            (Value::Map(entries), _) => {
                entries.iter_mut().find(|(key, _)| key.is_key(step)).map(|(_, value)| value)
            }
            (Value::List(items) | Value::Tuple { items, .. }, Step::Index(index)) => items.get_mut(*index),
            (Value::Tuple { name: Some(_), items }, Step::Name(_)) if items.len() == 1 => {
                items[0].child_mut(step)
            }
            _ => None,
        }
    }

    fn is_key(&self, step: &Step) -> bool {
        match (&self.value, step) {
            (Value::Str(key) | Value::Ident(key), Step::Name(name)) => key == name,
            (Value::Int(key), Step::Index(index)) => usize::try_from(*key) == Ok(*index),
            _ => false,
        }
    }

    /// The error for a step that leads nowhere from here, naming what is here.
    pub(crate) fn nothing_at(&self, step: &Step, path: &str) -> ConfigError {
        let holder = self.name().map_or("here".to_owned(), |name| format!("in `{}`", suggest::cut(name)));
        let (path_start, missing) = (suggest::cut(path), step.to_string());
        let missing = suggest::cut(&missing);
        let error = self.error(format!("`{path_start}` leads nowhere: there is no `{missing}` {holder}"));
        match (&self.value, step) {
            (Value::Struct { fields, .. }, Step::Name(name)) => error.with_help(suggest::help(
                name,
                "there is",
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
                error.with_help(suggest::help(name, "there is", keys))
            }
            (Value::List(items) | Value::Tuple { items, .. }, _) if !items.is_empty() => {
                error.with_help(format!("its items are [0] to [{}]", items.len() - 1))
            }
            _ => error.with_help("it holds nothing by that name"),
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
        assert_eq!(error.help_text(), Some("did you mean `base`? there is: `base`, `beta`"));
        let error = tree.get("variants[7]").unwrap_err();
        assert_eq!(error.help_text(), Some("its items are [0] to [1]"));
        for path in ["", "a..b", "a[", "a[x]", "a[1]b", "."] {
            assert!(tree.get(path).unwrap_err().message().ends_with("is not a path"), "{path}");
        }
    }
}
