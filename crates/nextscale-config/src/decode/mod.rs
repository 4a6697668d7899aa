//! Serde types from a tree, by `ron`: the tree is written on one line, ron reads the type from that, and
//! where it fails, the tree knows the place in the config, what was found there, and the fields around it.
//!
//! Conversions are ron's, with its extensions `implicit_some`, `unwrap_newtypes` and
//! `unwrap_variant_newtypes`: a whole number reads as a float, never the other way; `x`, `Some(x)` and `None`
//! read as an option; a struct may have its name or not; a newtype its brackets or not; `Var(a: 1)` and
//! `Var((a: 1))` read as a variant over a struct; round brackets as a tuple.

mod explain;
mod number_or;
mod printed;

use ron::{Deserializer, Options, extensions::Extensions};
use serde::de::DeserializeOwned;
use serde_ignored::Path;

use crate::{ConfigError, Node, Result, Value, step::Step, suggest::cut};
pub use number_or::NumberOr;
use printed::Printed;

impl Node {
    /// Reads a serde type from this value.
    ///
    /// A struct should have serde's `deny_unknown_fields`, so that the error of an unknown field lists the
    /// known ones. It is an error without it, too. Read a type that is a number or a name, such as a strength
    /// over scales, through [`NumberOr`]: its errors say what was wrong inside, unlike those of serde's
    /// `untagged`.
    ///
    /// # Errors
    /// Whatever does not fit `T`; the error points at the innermost wrong value.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        let printed = Printed::of(self);
        let newtypes = Extensions::UNWRAP_NEWTYPES;
        // A newtype struct reads as its content or, as in ron without extensions, with brackets.
        let read = attempt(&printed.text, newtypes)
            .or_else(|fault| attempt(&printed.text, Extensions::empty()).map_err(|_| fault));
        match read {
            Ok((value, None)) => Ok(value),
            Ok((_, Some(path))) => Err(self.ignored(&path)),
            Err(fault) => Err(explain::Explained {
                printed: &printed,
                again: &|text| attempt::<T>(text, newtypes).err(),
            }
            .error(fault)),
        }
    }

    /// Reads what is in the parentheses after the name: the single item, or all of them as an unnamed tuple
    /// or struct.
    pub(crate) fn decode_payload<T: DeserializeOwned>(&self) -> Result<T> {
        let value = match &self.value {
            Value::Tuple { items, .. } if items.len() == 1 => return items[0].decode(),
            Value::Tuple { items, .. } if !items.is_empty() => {
                Value::Tuple { name: None, items: items.clone() }
            }
            Value::Struct { fields, .. } => Value::Struct { name: None, fields: fields.clone() },
            _ => Value::Unit,
        };
        Node { value, ..self.clone() }.decode()
    }

    /// The error of an unknown field of a struct without `deny_unknown_fields`.
    fn ignored(&self, path: &[Step]) -> ConfigError {
        let Some((last, above)) = path.split_last() else { return self.error("an unknown field") };
        let message = format!("unknown field `{}`", cut(&last.to_string()));
        let holder = above.iter().try_fold(self, |node, step| node.child(step));
        let holder = holder.unwrap_or(self);
        let error = match holder.field(&last.to_string()) {
            Some(field) => ConfigError::new(message).at(&field.node.source, field.span.clone(), ""),
            None => holder.error(message),
        };
        above.iter().rev().fold(error, |error, step| error.inside(step.to_string()))
    }
}

/// What ron found wrong, and the byte of the text before which it stopped.
struct Fault {
    code: ron::Error,
    at: usize,
}

/// Reads a type, and reports the first field that it ignored.
fn attempt<T: DeserializeOwned>(text: &str, newtypes: Extensions) -> Result<(T, Option<Vec<Step>>), Fault> {
    number_or::forget();
    let mut ron = reader(text, newtypes).map_err(|code| Fault { code, at: 0 })?;
    let mut ignored = None;
    let value = serde_ignored::deserialize(&mut ron, |path| {
        ignored.get_or_insert_with(|| steps(&path));
    });
    match value.and_then(|value| ron.end().map(|()| value)) {
        Ok(value) => Ok((value, ignored)),
        Err(code) => Err(number_or::within(text, &code)
            .unwrap_or_else(|| Fault { at: text.len() - ron.remainder().len(), code })),
    }
}

fn reader(text: &str, newtypes: Extensions) -> Result<Deserializer<'_>, ron::Error> {
    let extensions = Extensions::IMPLICIT_SOME | Extensions::UNWRAP_VARIANT_NEWTYPES | newtypes;
    // The size of trees is bounded where they are created.
    let options = Options::default().without_recursion_limit().with_default_extension(extensions);
    Deserializer::from_str_with_options(text, &options).map_err(|error| error.code)
}

fn steps(path: &Path<'_>) -> Vec<Step> {
    let (parent, step) = match path {
        Path::Root => return Vec::new(),
        Path::Seq { parent, index } => (parent, Some(Step::Index(*index))),
        Path::Map { parent, key } => (parent, Some(Step::Name(key.clone()))),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            (parent, None)
        }
    };
    let mut steps = steps(parent);
    steps.extend(step);
    steps
}

#[cfg(test)]
mod tests;
