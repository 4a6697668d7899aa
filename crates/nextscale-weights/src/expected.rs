use std::collections::BTreeMap;

use crate::{Error, Problem, Result, WeightFile};

/// How many problems an error lists.
const LISTED: usize = 6;

/// Every tensor that a model reads, by name and shape, and those that it ignores.
#[derive(Debug, Clone)]
pub struct ExpectedTensors {
    model: String,
    tensors: BTreeMap<String, Vec<usize>>,
    ignored: Vec<String>,
}

impl ExpectedTensors {
    /// An empty list for `model`, named as in "a VQVAE".
    pub fn new(model: impl Into<String>) -> Self {
        Self { model: model.into(), tensors: BTreeMap::new(), ignored: Vec::new() }
    }

    /// Adds a required tensor of floats with this shape.
    #[must_use]
    pub fn tensor(mut self, name: impl Into<String>, shape: impl Into<Vec<usize>>) -> Self {
        self.insert(name, shape);
        self
    }

    /// As [`tensor`](Self::tensor), in place.
    pub fn insert(&mut self, name: impl Into<String>, shape: impl Into<Vec<usize>>) {
        self.tensors.insert(name.into(), shape.into());
    }

    /// Ignores tensors that may be present; `*` in the pattern matches any text.
    #[must_use]
    pub fn ignore(mut self, pattern: impl Into<String>) -> Self {
        self.ignored.push(pattern.into());
        self
    }

    /// The names and shapes, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.tensors.iter().map(|(name, shape)| (name.as_str(), shape.as_slice()))
    }

    /// Compares the list with a file's header without reading values.
    ///
    /// # Errors
    /// [`Error::OtherModel`] if nothing matches, otherwise [`Error::Misfit`] with the first problems: wrong
    /// shapes, then missing tensors, then unexpected ones.
    pub fn check(&self, file: &WeightFile) -> Result<()> {
        let (mut problems, mut missing) = (Vec::new(), Vec::new());
        for (name, shape) in &self.tensors {
            match file.info(name) {
                None => missing.push(Problem::Missing { name: name.clone(), shape: shape.clone() }),
                Some(info) if info.shape != *shape => problems.push(Problem::Misshapen {
                    name: name.clone(),
                    found: info.shape.clone(),
                    expected: shape.clone(),
                }),
                Some(info) if !info.dtype.is_float() => {
                    problems.push(Problem::Integers { name: name.clone(), found: info.dtype });
                }
                Some(_) => {}
            }
        }
        if missing.len() == self.tensors.len() && !self.tensors.is_empty() {
            let names: Vec<_> = file.names().take(3).map(|name| format!("`{name}`")).collect();
            return Err(Error::OtherModel {
                file: file.label().into(),
                model: self.model.clone(),
                found: if names.is_empty() { "no tensors".into() } else { names.join(", ") },
            });
        }
        problems.append(&mut missing);
        problems.extend(file.names().filter(|name| !self.knows(name)).map(|name| Problem::Unexpected {
            name: name.into(),
            shape: file.info(name).map(|info| info.shape.clone()).unwrap_or_default(),
        }));
        if problems.is_empty() {
            return Ok(());
        }
        let more = problems.len().saturating_sub(LISTED);
        problems.truncate(LISTED);
        Err(Error::Misfit { file: file.label().into(), model: self.model.clone(), problems, more })
    }

    fn knows(&self, name: &str) -> bool {
        self.tensors.contains_key(name) || self.ignored.iter().any(|pattern| matches(pattern, name))
    }
}

/// Whether `name` matches `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len()).filter(|&at| rest.is_char_boundary(at)).any(|at| matches(tail, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(matches("encoder.*", "encoder.conv_in.weight"));
        assert!(matches("blocks.*.attn.zero_k_bias", "blocks.11.attn.zero_k_bias"));
        assert!(matches("lvl_1L", "lvl_1L"));
        assert!(!matches("lvl_1L", "lvl_1L2"));
        assert!(!matches("blocks.*.bias", "blocks.0.weight"));
    }
}
