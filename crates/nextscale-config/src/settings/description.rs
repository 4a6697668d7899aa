use schemars::{Schema, SchemaGenerator};
use serde::Serialize;

use crate::{ConfigError, Node, Value, suggest};

/// A function that makes the schema of a setting.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The description of something that configs name.
#[derive(Debug, Clone)]
pub struct Description {
    /// Its name in configs.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub about: &'static str,
    /// An example in RON with only what is required.
    pub example: &'static str,
    /// Its settings, in the order of resolved configs.
    pub settings: Vec<Setting>,
    /// What else its parentheses may contain.
    pub also: Vec<Form>,
}

/// Another way of writing something: one unnamed value in its parentheses, such as `Marginal(Shipped("cifar10"))`.
#[derive(Debug, Clone)]
pub struct Form {
    /// An example in RON, with the name.
    pub example: &'static str,
    /// What it means, in one sentence.
    pub about: &'static str,
    /// Which values are accepted.
    pub schema: SchemaOf,
}

/// The description of a setting.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What it is and which values it takes, in one sentence.
    pub about: &'static str,
    /// The default.
    pub fallback: Fallback,
    /// Which values are accepted.
    pub schema: SchemaOf,
}

/// The value of an omitted setting.
#[derive(Debug, Clone, PartialEq)]
pub enum Fallback {
    /// None: the setting is required.
    MustBeGiven,
    /// Absence, which has its own meaning.
    Nothing,
    /// This, in RON.
    Value(String),
}

impl Fallback {
    /// A value, as resolved configs write it.
    pub fn value<T: Serialize>(value: &T) -> Self {
        // A value that cannot be written is reported when it is read; here there is no error to
        // return.
        Node::from_serialize(value).map_or(Self::Nothing, |node| Self::Value(node.to_string()))
    }

    /// A nested setting, in RON.
    pub fn written(text: &str) -> Self {
        Self::Value(text.into())
    }
}

impl Description {
    /// What it is, as a phrase after its name: lower case, without a full stop.
    pub fn phrase(&self) -> String {
        phrase(self.about)
    }

    /// What its parentheses contain instead of named settings, if anything.
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

    /// The error of a node without named fields, with the fields that its items may be meant for.
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
        // Items are most likely meant for required settings.
        let mut settings: Vec<&Setting> = self.settings.iter().collect();
        settings.sort_by_key(|setting| setting.fallback != Fallback::MustBeGiven);
        let pairs = settings.iter().zip(items);
        let pairs =
            pairs.map(|(setting, item)| format!("{}: {}", setting.name, suggest::cut(&item.to_string())));
        error.with_help(format!("write {name}({})", pairs.collect::<Vec<_>>().join(", ")))
    }
}

impl Setting {
    /// The name of the unnamed content of the parentheses, if that is all: `Shipped("cifar10")`.
    pub const ITEM: &'static str = "";

    /// What it is, as a phrase after its name.
    pub fn phrase(&self) -> String {
        phrase(self.about)
    }
}

fn phrase(sentence: &str) -> String {
    let sentence = sentence.strip_suffix('.').unwrap_or(sentence);
    // A second capital is a name's: "Scaled Spatial Guidance".
    let mut words = sentence.split(' ');
    let is_article = words.next().is_some_and(|word| ["A", "An", "The"].contains(&word));
    if !is_article && words.next().is_some_and(|word| word.starts_with(char::is_uppercase)) {
        return sentence.into();
    }
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
        assert_eq!(phrase("Scaled Spatial Guidance: more."), "Scaled Spatial Guidance: more");
        assert_eq!(phrase("The VAR model."), "the VAR model");
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
