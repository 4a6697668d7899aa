//! Numbers: decimal, `0x`, `0o`, `0b`, fractions, exponents, underscores, `inf` and `NaN`, type suffixes.

use crate::{Result, Value};

use super::cursor::{Cursor, is_name};

impl Cursor<'_> {
    /// A number that begins here with a digit, a sign or a point.
    pub(super) fn number(&mut self) -> Result<Value> {
        let start = self.offset;
        let negative = self.starts_with("-");
        if negative || self.starts_with("+") {
            self.advance(1);
        }
        for (prefix, base) in [("0x", 16), ("0o", 8), ("0b", 2)] {
            if self.take(prefix) {
                let digits = self.take_while(is_name);
                return self.integer(start, digits, negative, base);
            }
        }
        if self.peek().is_some_and(|c| c.is_ascii_alphabetic()) {
            let word = self.take_while(is_name);
            return match special(word) {
                Some(value) => Ok(Value::Float(if negative { -value } else { value })),
                None => Err(self.error(start..self.offset, format!("`{word}` is not a number"))),
            };
        }
        let digits_start = self.offset;
        self.take_while(|c| c.is_ascii_digit() || c == '_');
        let whole = self.offset;
        // `..` belongs to a range, not to the number.
        if self.starts_with(".") && !self.starts_with("..") {
            self.advance(1);
            self.take_while(|c| c.is_ascii_digit() || c == '_');
        }
        if self.starts_with("e") || self.starts_with("E") {
            self.advance(1);
            if self.starts_with("-") || self.starts_with("+") {
                self.advance(1);
            }
            self.take_while(|c| c.is_ascii_digit() || c == '_');
        }
        let digits = &self.source.text[digits_start..self.offset];
        let suffixed_float = ["f32", "f64"].iter().any(|suffix| self.starts_with(suffix));
        if self.offset == whole && !suffixed_float {
            let suffix = self.take_while(is_name);
            let with_suffix = &self.source.text[digits_start..digits_start + digits.len() + suffix.len()];
            return self.integer(start, with_suffix, negative, 10);
        }
        let suffix = self.take_while(is_name);
        self.float(start, digits, suffix, negative)
    }

    fn float(&mut self, start: usize, digits: &str, suffix: &str, negative: bool) -> Result<Value> {
        let text = &self.source.text[start..self.offset];
        let bad_underscore = digits.starts_with('_') || digits.contains("._");
        let value = match suffix {
            "" | "f64" => digits.replace('_', "").parse::<f64>(),
            "f32" => digits.replace('_', "").parse::<f32>().map(f64::from),
            _ => return Err(self.error(start..self.offset, format!("`{text}` is not a number"))),
        };
        match value {
            Ok(value) if !bad_underscore => Ok(Value::Float(if negative { -value } else { value })),
            _ => Err(self.error(start..self.offset, format!("`{text}` is not a number"))),
        }
    }

    fn integer(&mut self, start: usize, digits: &str, negative: bool, base: u32) -> Result<Value> {
        let text = &self.source.text[start..self.offset];
        let (digits, kind) = match digits.find(['i', 'u']) {
            Some(at) => digits.split_at(at),
            None => (digits, ""),
        };
        let range = match kind {
            "" | "i128" | "u128" => Some((i128::MIN, i128::MAX)),
            "i8" => Some((i8::MIN.into(), i8::MAX.into())),
            "i16" => Some((i16::MIN.into(), i16::MAX.into())),
            "i32" => Some((i32::MIN.into(), i32::MAX.into())),
            "i64" => Some((i64::MIN.into(), i64::MAX.into())),
            "u8" => Some((0, u8::MAX.into())),
            "u16" => Some((0, u16::MAX.into())),
            "u32" => Some((0, u32::MAX.into())),
            "u64" => Some((0, u64::MAX.into())),
            _ => None,
        };
        let well_formed = !digits.is_empty()
            && !digits.starts_with('_')
            && digits.chars().all(|c| c == '_' || c.is_digit(base));
        let Some((low, high)) = range.filter(|_| well_formed) else {
            return Err(self.error(start..self.offset, format!("`{text}` is not a number")));
        };
        // The sign goes in before parsing: i128::MIN has no positive counterpart.
        let signed = format!("{}{}", if negative { "-" } else { "" }, digits.replace('_', ""));
        match i128::from_str_radix(&signed, base) {
            Ok(value) if (low..=high).contains(&value) => Ok(Value::Int(value)),
            _ => Err(self.error(start..self.offset, format!("`{text}` is out of range"))),
        }
    }
}

/// `inf` and `NaN`, bare or with a type suffix.
pub(super) fn special(word: &str) -> Option<f64> {
    match word {
        "inf" | "inff32" | "inff64" => Some(f64::INFINITY),
        "NaN" | "NaNf32" | "NaNf64" => Some(f64::NAN),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::{Document, Value};

    fn value(text: &str) -> Value {
        Document::parse("a.ron", text).unwrap().value
    }

    #[test]
    fn integers() {
        for (text, expected) in [
            ("0", 0),
            ("-7", -7),
            ("+7", 7),
            ("1_000", 1000),
            ("0xff", 255),
            ("0b1_01", 5),
            ("0o17", 15),
            ("-0x10", -16),
            ("12u8", 12),
            ("0x1fu8", 31),
            ("170141183460469231731687303715884105727", i128::MAX),
            ("-170141183460469231731687303715884105728", i128::MIN),
        ] {
            assert_eq!(value(text), Value::Int(expected), "{text}");
        }
    }

    #[test]
    fn floats() {
        for (text, expected) in [
            ("0.5", 0.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("-1e3", -1000.0),
            ("1E-2", 0.01),
            ("1_0.2_5", 10.25),
            ("1f32", 1.0),
            ("2.5f64", 2.5),
            ("inf", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
        ] {
            assert_eq!(value(text), Value::Float(expected), "{text}");
        }
        assert!(matches!(value("NaN"), Value::Float(x) if x.is_nan()));
        assert!(matches!(value("-0.0"), Value::Float(x) if x == 0.0 && x.is_sign_negative()));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "1x",
            "0x",
            "0xg",
            "0b2",
            "1__x",
            "1._5",
            "1e",
            "1.2.3",
            "-",
            "+-1",
            "300u8",
            "-1u8",
            "1.5u8",
            "340282366920938463463374607431768211456",
            "--1",
            "-foo",
            ".",
            "0_x1",
            "1..2",
        ] {
            assert!(Document::parse("a.ron", text).is_err(), "{text}");
        }
    }
}
