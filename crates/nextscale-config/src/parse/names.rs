//! Names of fields and variants.

use std::fmt;

use ron::de::Deserializer as Ron;
use serde::{
    Deserializer,
    de::{DeserializeSeed, Visitor},
};

/// Whether a text can be the name of a field.
pub(crate) fn is_name(text: &str) -> bool {
    let raw = format!("r#{text}");
    let Ok(mut ron) = Ron::from_str(&raw) else { return false };
    (&mut ron).deserialize_identifier(BorrowedName) == Ok(text) && ron.remainder().is_empty()
}

/// Whether a word is a value rather than a name: `true`, `inf`.
#[inline]
pub(crate) fn is_keyword(word: &str) -> bool {
    matches!(word, "true" | "false" | "inf" | "inff32" | "inff64" | "NaN" | "NaNf32" | "NaNf64")
}

/// Takes a name from ron as a slice of the text.
pub(super) struct BorrowedName;

impl<'de> Visitor<'de> for BorrowedName {
    type Value = &'de str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<&'de str, E> {
        Ok(name)
    }
}

/// Reads the name of a field or a variant.
pub(super) struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = &'de str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'de str, D::Error> {
        deserializer.deserialize_identifier(BorrowedName)
    }
}
