//! A number or a named value. Ron's `deserialize_any` drops names, so the value is taken as text, whose
//! beginning shows which of the two it is, and ron reads that.

use std::cell::RefCell;

use ron::{Error, extensions::Extensions, value::RawValue};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};

use super::{Fault, reader};

/// A number, or whatever `T`, an enum, reads. Can be read only from a config.
///
/// ```
/// use nextscale_config::{Document, NumberOr};
///
/// #[derive(Debug, PartialEq, serde::Deserialize)]
/// enum Course {
///     Ramp(f64),
/// }
///
/// let read = |text| Document::parse("a.ron", text)?.decode::<NumberOr<Course>>();
/// assert_eq!(read("0.5")?, NumberOr::Number(0.5));
/// assert_eq!(read("Ramp(2)")?, NumberOr::Other(Course::Ramp(2.0)));
/// # Ok::<(), nextscale_config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum NumberOr<T> {
    /// `2`, `-0.5`, `inf`.
    Number(f64),
    /// A name, with its fields or items.
    Other(T),
}

thread_local! {
    /// The fault within a value's text, and the address at which ron stopped: serde's errors have no room for
    /// either.
    static WITHIN: RefCell<Option<(Error, usize)>> = const { RefCell::new(None) };
}

pub(super) fn forget() {
    WITHIN.set(None);
}

/// The fault within a value's text, if it is the one that `code` reports.
pub(super) fn within(text: &str, code: &Error) -> Option<Fault> {
    let (fault, address) = WITHIN.take()?;
    let at = address.checked_sub(text.as_ptr() as usize).filter(|&at| at <= text.len())?;
    matches!(code, Error::Message(message) if *message == fault.to_string())
        .then_some(Fault { code: fault, at })
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for NumberOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get_ron();
        let is_number =
            text.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit() || c == '.')
                || reader(text, Extensions::UNWRAP_NEWTYPES)
                    .is_ok_and(|mut ron| f64::deserialize(&mut ron).is_ok() && ron.end().is_ok());
        if is_number {
            return part(text).map(Self::Number);
        }
        if text.starts_with(['"', '\'', '[', '{', '(']) {
            let (expected, found) = ("a number or a name".into(), text.into());
            let fault = Error::InvalidValueForType { expected, found };
            let error = D::Error::custom(&fault);
            WITHIN.set(Some((fault, text.as_ptr() as usize + text.len())));
            return Err(error);
        }
        part(text).map(Self::Other)
    }
}

/// Reads a piece of the text that ron is reading.
fn part<T: DeserializeOwned, E: serde::de::Error>(text: &str) -> Result<T, E> {
    let mut ron = reader(text, Extensions::UNWRAP_NEWTYPES).map_err(E::custom)?;
    let value = T::deserialize(&mut ron).and_then(|value| ron.end().map(|()| value));
    value.map_err(|error| {
        let fault = match WITHIN.take() {
            Some(inner) if Error::custom(&inner.0) == error => inner,
            _ => (error, ron.remainder().as_ptr() as usize),
        };
        let error = E::custom(&fault.0);
        WITHIN.set(Some(fault));
        error
    })
}
