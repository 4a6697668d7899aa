//! Turns ron's errors into messages for people: the place in the config, what was found there, and what was
//! expected.

use ron::Error as Ron;

use super::{
    Fault,
    printed::{Place, Printed},
};
use crate::{
    ConfigError, Node, Value,
    print::Lead,
    suggest::{self, cut},
};

/// A name that is not in the enum.
const NOBODY: &str = "r#-";

/// A text that ron refused.
pub(super) struct Explained<'p, 'a> {
    pub(super) printed: &'p Printed<'a>,
    /// Reads the same type from another text.
    pub(super) again: &'p dyn Fn(&str) -> Option<Fault>,
}

impl<'a> Explained<'_, 'a> {
    pub(super) fn error(&self, Fault { code, at }: Fault) -> ConfigError {
        let (here, read) = (self.printed.at(at), self.printed.before(at));
        let (place, error) = match code {
            Ron::NoSuchStructField { expected, found, .. } => {
                let place = self.printed.at(at.saturating_sub(1));
                (
                    place,
                    match place.node.field(&found) {
                        Some(field) => place.node.unknown_field(field, "", expected.iter().copied()),
                        None => ConfigError::unknown("field", &found, expected),
                    },
                )
            }
            Ron::MissingStructField { field, .. } => {
                let error = ConfigError::new(format!("missing field `{field}`"));
                (here, error.with_help(format!("add `{field}: ..` here")))
            }
            Ron::NoSuchEnumVariant { expected, found, .. } => {
                let place = self.printed.at(at.saturating_sub(1));
                (
                    place,
                    match place.node.variant() {
                        Ok(variant) => variant.unknown("name", expected.iter().copied()),
                        Err(_) => ConfigError::unknown("name", &found, expected),
                    },
                )
            }
            Ron::IntegerOutOfBounds => {
                let place = self.printed.at(at.saturating_sub(1));
                (place, expected(place, &self.range(place)))
            }
            Ron::ExpectedInteger | Ron::InvalidIntegerDigit { .. } => (here, whole_number(here)),
            Ron::ExpectedFloat | Ron::FloatUnderscore | Ron::UnderscoreAtBeginning => {
                (here, expected(here, "a number"))
            }
            Ron::ExpectedBoolean => (here, expected(here, "`true` or `false`")),
            Ron::ExpectedChar => (here, expected(here, "a character")),
            Ron::ExpectedUnit => (here, expected(here, "`()`")),
            Ron::ExpectedArray => (here, expected(here, "a list, `[..]`")),
            Ron::ExpectedMap => {
                let error = expected(here, "a map, `{key: value, ..}`");
                (here, error.with_help("write {\"key\": value}, with the keys in quotes"))
            }
            Ron::ExpectedString => (here, string(here)),
            Ron::ExpectedIdentifier | Ron::SuggestRawIdentifier(_) => match self.variants(here) {
                Some(variants) => (here, name(here, variants)),
                // A field was expected, not a variant.
                None => {
                    let place = self.printed.around(here).unwrap_or(here);
                    (place, expected(place, "fields, `(name: value, ..)`"))
                }
            },
            Ron::ExpectedDifferentStructName { expected: name, .. } => {
                let place = self.printed.at(at.saturating_sub(1));
                (place, expected(place, &format!("`{name}(..)`")))
            }
            Ron::ExpectedStructLike | Ron::ExpectedNamedStructLike(_) => {
                match (&read.node.value, &here.node.value) {
                    (Value::Ident(name), _) if read.span.end == at => {
                        let error = expected(read, &format!("`{}(..)`", cut(name)));
                        let content =
                            if self.instead(read, &format!("{name}()")).is_none() { "" } else { ".." };
                        (read, error.with_help(format!("write {}({content})", cut(name))))
                    }
                    _ if matches!(code, Ron::ExpectedStructLike) => (here, expected(here, "items, `(..)`")),
                    _ => (here, expected(here, "fields, `(name: value, ..)`")),
                }
            }
            Ron::ExpectedDifferentLength { expected: what, .. } => {
                // Serde's message has the number: "tuple variant Rule::Pair with 2 elements".
                let number = what.split(' ').find(|word| word.parse::<usize>().is_ok());
                let items = number.map(|number| format!("{number} items, `(..)`"));
                (here, expected(here, &items.unwrap_or(what)))
            }
            Ron::InvalidValueForType { expected: what, .. } => {
                let error = expected(read, &what);
                match self.variants(read) {
                    Some(variants) => {
                        (read, error.with_help(suggest::list("allowed", variants.iter().copied())))
                    }
                    None => (read, error),
                }
            }
            Ron::ExpectedComma
            | Ron::ExpectedStructLikeEnd
            | Ron::ExpectedArrayEnd
            | Ron::ExpectedMapEnd
            | Ron::ExpectedOptionEnd
            | Ron::TrailingCharacters => self.left_over(at),
            Ron::Message(message) => (read, ConfigError::new(message)),
            other => (here, ConfigError::new(other.to_string())),
        };
        self.at(place, error)
    }

    /// The same error with its place, and the fields above it.
    fn at(&self, place: &Place<'a>, error: ConfigError) -> ConfigError {
        self.printed.steps(place).into_iter().fold(error.at_node(place.node), ConfigError::inside)
    }

    /// Ron has read enough, and there is more.
    fn left_over(&self, at: usize) -> (&Place<'a>, ConfigError) {
        let place = self.printed.at(at);
        match (&place.node.value, place.within, self.printed.around(place)) {
            (Value::Int(_) | Value::Float(_), ..) if place.span.start < at => (place, whole_number(place)),
            (_, Some((_, Lead::Item(count))), Some(around)) if place.span.start == at => {
                let items = if count == 1 { "item" } else { "items" };
                (around, expected(around, &format!("{count} {items}, `(..)`")))
            }
            _ => match place.node.name() {
                Some(name) => {
                    let error = ConfigError::new(format!("`{}` takes nothing in parentheses", cut(name)));
                    (place, error.with_help(format!("write {}", cut(name))))
                }
                None => (place, ConfigError::new(format!("unexpected {}", place.node.found()))),
            },
        }
    }

    /// The error when something else was found at a place.
    fn instead(&self, place: &Place<'a>, other: &str) -> Option<Ron> {
        let mut text = self.printed.text.clone();
        text.replace_range(place.span.clone(), other);
        let end = place.span.start + other.len();
        // What follows is a separate question.
        (self.again)(&text).filter(|fault| fault.at <= end).map(|fault| fault.code)
    }

    /// The names that are accepted at a place, which ron lists when it finds another.
    fn variants(&self, place: &Place<'a>) -> Option<&'static [&'static str]> {
        match self.instead(place, NOBODY)? {
            Ron::NoSuchEnumVariant { expected, found, .. } if NOBODY.ends_with(&found) => Some(expected),
            _ => None,
        }
    }

    /// The integers that are accepted at a place: ron says whether a given one fits.
    fn range(&self, place: &Place<'a>) -> String {
        let fits =
            |number: i128| !matches!(self.instead(place, &number.to_string()), Some(Ron::IntegerOutOfBounds));
        let bits = [7, 8, 15, 16, 31, 32, 63, 64].into_iter().rfind(|&bits| fits((1 << bits) - 1));
        let highest = bits.map_or(i128::MAX, |bits| (1 << bits) - 1);
        match &place.node.value {
            Value::Int(..0) if !fits(-1) => "a whole number, 0 or more".into(),
            _ if fits(-1) => format!("a whole number from {} to {highest}", -highest - 1),
            _ => format!("a whole number from 0 to {highest}"),
        }
    }
}

fn expected(place: &Place<'_>, what: &str) -> ConfigError {
    let error = ConfigError::new(format!("expected {what}, found {}", place.node.found()));
    match &place.node.value {
        // As in `At([1, 2])`, whose content ron reads without brackets.
        Value::List(items) if what.ends_with("`(..)`") || place.is_unwrapped => {
            let tuple =
                Node { value: Value::Tuple { name: None, items: items.clone() }, ..place.node.clone() };
            error.with_help(format!("square brackets are for lists; write {}", cut(&tuple.to_string())))
        }
        _ => error,
    }
}

fn whole_number(place: &Place<'_>) -> ConfigError {
    let error = expected(place, "a whole number");
    match place.node.value {
        Value::Float(value) if value.fract() == 0.0 && value.abs() < 1e15 => {
            error.with_help(format!("write {value:.0}, without a point"))
        }
        _ => error,
    }
}

fn string(place: &Place<'_>) -> ConfigError {
    let error = expected(place, "a string");
    match &place.node.value {
        Value::Ident(name) => error.with_help(format!("put it between quotes: \"{}\"", cut(name))),
        _ => error,
    }
}

fn name(place: &Place<'_>, variants: &[&str]) -> ConfigError {
    let error = expected(place, "a name");
    match &place.node.value {
        Value::Str(text) if variants.contains(&text.as_str()) => {
            error.with_help(format!("write it without quotes: {text}"))
        }
        _ => error.with_help(suggest::list("allowed", variants.iter().copied())),
    }
}
