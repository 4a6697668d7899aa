use schemars::{Schema, SchemaGenerator};
use serde::Serialize;

use crate::{ConfigError, Node, Value, suggest};

/// What makes the schema of a setting.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// A thing that configs name, as people are told of it.
#[derive(Debug, Clone)]
pub struct Description {
    /// Its name in configs.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub about: &'static str,
    /// One in RON that is written with nothing but what must be given.
    pub example: &'static str,
    /// Its settings, in the order in which resolved configs write them.
    pub settings: Vec<Setting>,
}

/// A setting, as people and editors are told of it.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What it is and what it may be, in a sentence.
    pub about: &'static str,
    /// What stands where it is left out.
    pub fallback: Fallback,
    /// What may stand there.
    pub schema: SchemaOf,
}

/// What stands where a setting is left out.
#[derive(Debug, Clone, PartialEq)]
pub enum Fallback {
    /// Nothing can: it must be given.
    MustBeGiven,
    /// Nothing, which is a choice of its own.
    Nothing,
    /// This, in RON.
    Value(String),
}

impl Fallback {
    /// A value that resolved configs write down.
    pub fn value<T: Serialize>(value: &T) -> Self {
        // What cannot be written is told where it is read; here there is nobody to tell.
        Node::from_serialize(value).map_or(Self::Nothing, |node| Self::Value(node.to_string()))
    }

    /// A nested thing, in RON.
    pub fn written(text: &str) -> Self {
        Self::Value(text.into())
    }
}

impl Description {
    /// What it is, as a phrase after its name: a small first letter and no full stop.
    pub fn phrase(&self) -> String {
        phrase(self.about)
    }

    /// What stands in its parentheses in place of named settings, if it is such a thing.
    pub fn item(&self) -> Option<&Setting> {
        match self.settings.as_slice() {
            [item] if item.name == Setting::ITEM => Some(item),
            _ => None,
        }
    }

    /// Whether a config may name it without any setting.
    pub fn stands_alone(&self) -> bool {
        self.settings.iter().all(|setting| setting.fallback != Fallback::MustBeGiven)
    }

    /// The error of a node without named fields, with those that its items may be meant for.
    pub(super) fn with_names(&self, node: &Node, error: ConfigError) -> ConfigError {
        let name = self.name;
        let Value::Tuple { items, .. } = &node.value else { return error };
        if self.settings.is_empty() {
            return error.with_help(format!("write {name}, which has no settings"));
        }
        if items.len() > self.settings.len() {
            return error
                .with_help(suggest::list("allowed", self.settings.iter().map(|setting| setting.name)));
        }
        // What must be given comes first to mind.
        let mut settings: Vec<&Setting> = self.settings.iter().collect();
        settings.sort_by_key(|setting| setting.fallback != Fallback::MustBeGiven);
        let pairs = settings.iter().zip(items);
        let pairs =
            pairs.map(|(setting, item)| format!("{}: {}", setting.name, suggest::cut(&item.to_string())));
        error.with_help(format!("write {name}({})", pairs.collect::<Vec<_>>().join(", ")))
    }
}

impl Setting {
    /// The name of what stands in the parentheses without a name of its own, where that is all there is: `Shipped("cifar10")`.
    pub const ITEM: &'static str = "";

    /// What it is, as a phrase after its name.
    pub fn phrase(&self) -> String {
        phrase(self.about)
    }
}

fn phrase(sentence: &str) -> String {
    let sentence = sentence.strip_suffix('.').unwrap_or(sentence);
    let mut letters = sentence.chars();
    match (letters.next(), letters.clone().next()) {
        // Two capitals, or one before a digit or a sign, are an abbreviation.
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => sentence.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_is_a_sentence_without_its_marks() {
        assert_eq!(phrase("A strength, off at 0."), "a strength, off at 0");
        assert_eq!(phrase("The rule r."), "the rule r");
        assert_eq!(phrase("VAR's sampler."), "VAR's sampler");
        assert_eq!(phrase("β, a strength"), "β, a strength");
        assert_eq!(phrase(""), "");
    }

    #[test]
    fn a_default_is_told_as_resolved_configs_write_it() {
        assert_eq!(Fallback::value(&1.0), Fallback::Value("1.0".into()));
        assert_eq!(Fallback::value(&"a"), Fallback::Value("\"a\"".into()));
        assert_eq!(Fallback::value(&u128::MAX), Fallback::Nothing);
    }
}
