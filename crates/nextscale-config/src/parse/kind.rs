//! Guesses from its first characters what comes next, so that ron can be asked for that type: its
//! `deserialize_any` tries a dozen words first.

use super::{names::is_keyword, reading::Reading};

/// What begins at a place, judging by its first characters.
pub(super) enum Kind {
    List,
    Map,
    Fields,
    Tuple,
    Named,
    Text,
    /// This many characters, all digits except for a sign, few enough for an `i64`.
    Whole(usize),
    /// This many characters, digits with one point among them.
    Fraction(usize),
    /// All else.
    Any,
}

impl Reading<'_> {
    #[inline]
    pub(super) fn kind(&mut self) -> Kind {
        let rest = self.rest().as_bytes();
        match rest.first() {
            Some(b'[') => Kind::List,
            Some(b'{') => Kind::Map,
            Some(b'"') => Kind::Text,
            Some(b'(') if self.opens_fields() => Kind::Fields,
            Some(b'(') => Kind::Tuple,
            Some(b'0'..=b'9' | b'-') => {
                let (mut digits, mut points) = (0, 0);
                for byte in &rest[1..] {
                    match byte {
                        b'0'..=b'9' => digits += 1,
                        b'.' => points += 1,
                        _ if is_in_number(byte) => return Kind::Any,
                        _ => break,
                    }
                }
                match points {
                    0 if digits < 18 => Kind::Whole(1 + digits),
                    1 => Kind::Fraction(1 + digits + points),
                    _ => Kind::Any,
                }
            }
            // The beginning of a string, a byte, or a word that is not a name.
            Some(b'r' | b'b') if matches!(rest.get(1), Some(b'"' | b'\'' | b'#' | b'r')) => Kind::Any,
            Some(b't' | b'f' | b'S' | b'N' | b'i') => match self.name() {
                Some((name, _)) if !is_keyword(name) && !matches!(name, "Some" | "None") => Kind::Named,
                _ => Kind::Any,
            },
            Some(byte) if byte.is_ascii_alphabetic() || *byte == b'_' => Kind::Named,
            _ => Kind::Any,
        }
    }

    /// Whether the bracket at this place contains `name: value`.
    #[inline]
    pub(super) fn opens_fields(&mut self) -> bool {
        let start = self.offset;
        self.offset += 1;
        self.skip_space();
        let name = self.name();
        let fields = name.is_some_and(|(_, end)| {
            self.offset = end;
            self.skip_space();
            self.byte() == Some(b':')
        });
        self.offset = start;
        fields
    }
}

/// The length of the number at the beginning, if ron certainly accepts it.
#[inline]
pub(super) fn number_length(text: &[u8]) -> usize {
    text.iter().position(|byte| !is_in_number(byte)).unwrap_or(text.len())
}

#[inline]
fn is_in_number(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-')
}
