//! The table of character replacements in a sentencepiece model, a double-array trie.
//!
//! The `tokenizers` crate follows the trie without bounds checks and aborts the process on a table that it
//! cannot read, so tables are checked here first.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;

/// Checks that no text leads out of a table: a length in bytes, that many bytes of 32-bit trie units, and
/// zero-terminated texts.
///
/// # Errors
/// A message, if one could.
pub(crate) fn check(table: &[u8]) -> Result<(), &'static str> {
    const DAMAGED: &str = "its table of character replacements is damaged";
    let (length, rest) = table.split_first_chunk::<4>().ok_or(DAMAGED)?;
    let length = u32::from_le_bytes(*length) as usize / 4 * 4;
    let (trie, texts) = rest.split_at_checked(length).ok_or(DAMAGED)?;
    let texts = std::str::from_utf8(texts).map_err(|_| DAMAGED)?;
    let units: Vec<usize> =
        trie.as_chunks::<4>().0.iter().map(|unit| u32::from_le_bytes(*unit) as usize).collect();
    let leads = |at: usize, unit: usize| {
        // A unit's children are at its own position XOR its offset XOR their byte.
        let base = at ^ ((unit >> 10) << ((unit & (1 << 9)) >> 6));
        let value = units.get(base).map(|unit| unit & ((1 << 31) - 1));
        let has_value = unit >> 8 & 1 == 1;
        (base | 0xff) < units.len()
            && (!has_value || value.is_some_and(|value| texts.is_char_boundary(value)))
    };
    // Units with the highest bit set are values and have no children.
    let mut nodes = units.iter().enumerate().filter(|(_, unit)| *unit >> 31 == 0);
    let sound = !units.is_empty() && nodes.all(|(at, &unit)| leads(at, unit));
    if sound { Ok(()) } else { Err(DAMAGED) }
}

/// Checks all tables in a `tokenizer.json`.
///
/// # Errors
/// A message, if one could lead out of its table.
pub(crate) fn check_json(value: &Value) -> Result<(), String> {
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(name, field)| {
            if name != "precompiled_charsmap" {
                return check_json(field);
            }
            let table = field.as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
            Ok(check(&table.ok_or("`precompiled_charsmap` is not base64 text")?)?)
        }),
        Value::Array(items) => items.iter().try_for_each(check_json),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(units: &[u32], texts: &str) -> Vec<u8> {
        let trie = units.iter().flat_map(|unit| unit.to_le_bytes());
        ((units.len() * 4) as u32).to_le_bytes().into_iter().chain(trie).chain(texts.bytes()).collect()
    }

    #[test]
    fn places_and_values_must_lie_inside() {
        // From the root's children, at 0 to 255, `a` has a value at its own position XOR 1.
        let mut units = [0; 256];
        units[usize::from(b'a')] = u32::from(b'a') | 1 << 8 | 1 << 10;
        units[usize::from(b'a') ^ 1] = 1 << 31 | 2;
        assert_eq!(check(&table(&units, "é\0")), Ok(()));
        assert!(check(&table(&units, "é")).is_ok());
        for texts in ["aé\0", "a"] {
            assert!(check(&table(&units, texts)).is_err(), "{texts:?}");
        }
        assert!(check(&table(&units[..255], "é\0")).is_err());
        assert!(check(&table(&[], "é\0")).is_err());
        assert!(check(&table(&units, "é\0")[..900]).is_err());
        assert!(check(&[1, 2]).is_err());
        units[usize::from(b'b')] = u32::from(b'b') | 256 << 10;
        assert!(check(&table(&units, "é\0")).is_err());
    }

    #[test]
    fn tables_are_found_wherever_they_stand() {
        let json = |map: Value| serde_json::json!({"normalizer": {"normalizers": [{"type": "Lowercase"}, {"precompiled_charsmap": map}]}});
        assert!(check_json(&serde_json::json!({"normalizer": null, "model": [1, "x"]})).is_ok());
        for bad in [Value::Null, "?".into(), "AAAA".into()] {
            assert!(check_json(&json(bad)).is_err());
        }
        let sound = BASE64_STANDARD.encode(table(&[0; 256], ""));
        assert_eq!(check_json(&json(sound.into())), Ok(()));
    }
}
