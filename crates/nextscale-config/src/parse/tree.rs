//! The tree, built while ron's deserialiser walks the text.
//!
//! Nothing is returned through ron, whose every return would copy it: a finished node goes onto the stack of
//! [`Reading`], from which the enclosing value takes it.

use std::{fmt, sync::Arc};

use serde::{
    Deserializer,
    de::{DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor},
};

use super::{
    MAX_DEPTH,
    kind::{Kind, number_length},
    names::NameSeed,
    reading::Reading,
    struct_fields::struct_fields,
};
use crate::{ConfigError, Node, Value};

/// Reads the next value of ron and pushes its node onto the stack.
pub(super) struct NodeSeed<'r, 'a>(pub(super) &'r mut Reading<'a>);

impl<'de> DeserializeSeed<'de> for NodeSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let reading = self.0;
        reading.skip_space();
        let start = reading.offset;
        reading.token = start;
        if reading.depth == MAX_DEPTH {
            let error = ConfigError::new(format!("values are nested more than {MAX_DEPTH} deep"));
            let error = error.at(reading.source, start..reading.found_here().end, "");
            return Err(reading.fail(error));
        }
        let unwrapped = reading.unwrapped.take();
        let bare = unwrapped == Some(true);
        reading.depth += 1;
        let kind = if unwrapped.is_some() { Kind::Any } else { reading.kind() };
        let name = if matches!(kind, Kind::Any) && !bare { reading.name() } else { None };
        // ron takes a word such as `café.au` for a unit struct, though no name has a point.
        if matches!(kind, Kind::Any)
            && name.is_none()
            && !bare
            && let Some(word) = reading.word()
        {
            let error = reading.not_a_name(start..start + word.len());
            return Err(reading.fail(error));
        }
        let digits =
            if let Kind::Whole(length) | Kind::Fraction(length) = kind { Some(length) } else { None };
        let whole = Whole { reading: &mut *reading, start, name, digits, bare };
        match kind {
            Kind::List => deserializer.deserialize_seq(whole),
            Kind::Map => deserializer.deserialize_map(whole),
            Kind::Fields => deserializer.deserialize_struct("", &[], whole),
            Kind::Tuple => deserializer.deserialize_tuple(0, whole),
            Kind::Named => deserializer.deserialize_enum("", &[], whole),
            Kind::Text => deserializer.deserialize_str(whole),
            Kind::Whole(_) => deserializer.deserialize_i64(whole),
            Kind::Fraction(_) => deserializer.deserialize_f64(whole),
            Kind::Any => deserializer.deserialize_any(whole),
        }?;
        reading.depth -= 1;
        Ok(())
    }
}

/// One value: where it begins, its name, the length of a plain number, and whether it lacks brackets.
pub(super) struct Whole<'r, 'a> {
    pub(super) reading: &'r mut Reading<'a>,
    pub(super) start: usize,
    name: Option<(&'a str, usize)>,
    digits: Option<usize>,
    bare: bool,
}

impl<'a> Whole<'_, 'a> {
    fn rest(&self) -> &'a str {
        &self.reading.text[self.start..]
    }

    #[inline]
    pub(super) fn begins(&self, byte: u8) -> bool {
        self.reading.text.as_bytes().get(self.start) == Some(&byte)
    }

    #[inline]
    pub(super) fn ends<E>(self, length: usize, value: Value) -> Result<(), E> {
        self.reading.offset = self.start + length;
        self.reading.finish(self.start, value)
    }

    fn number<E>(self, value: Value) -> Result<(), E> {
        let rest = self.rest();
        match self.digits {
            Some(length) => self.ends(length, value),
            None if rest.starts_with("b'") => self.scalar(value),
            None => self.ends(number_length(rest.as_bytes()), value),
        }
    }

    /// A scalar whose end only ron knows.
    fn scalar<E>(self, value: Value) -> Result<(), E> {
        self.reading.offset = self.reading.end_of_value(self.start);
        self.reading.finish(self.start, value)
    }

    /// Skips the name and the bracket, if the value has them.
    #[inline]
    pub(super) fn enter(&mut self, bracket: u8) -> (Option<String>, bool) {
        if self.bare {
            return (None, false);
        }
        if let Some((_, end)) = self.name {
            self.reading.offset = end;
        }
        (self.name.map(|(name, _)| name.to_owned()), self.reading.enter(bracket))
    }

    fn is_range(&self) -> bool {
        match self.name {
            Some((_, end)) => self.reading.text[end..].starts_with(".."),
            None => !self.bare && !self.begins(b'(') && !self.begins(b'{'),
        }
    }
}

macro_rules! numbers {
    ($($method:ident $type:ty => $variant:ident,)*) => {$(
        fn $method<E>(self, value: $type) -> Result<(), E> {
            self.number(Value::$variant(value.into()))
        }
    )*};
}

impl<'de> Visitor<'de> for Whole<'_, 'de> {
    type Value = ();

    /// Anything is expected, so this never appears in a message; but ron formats it for every map.
    fn expecting(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }

    numbers! {
        visit_i8 i8 => Int,
        visit_i16 i16 => Int,
        visit_i32 i32 => Int,
        visit_i64 i64 => Int,
        visit_i128 i128 => Int,
        visit_u8 u8 => Int,
        visit_u16 u16 => Int,
        visit_u32 u32 => Int,
        visit_u64 u64 => Int,
        visit_f32 f32 => Float,
        visit_f64 f64 => Float,
    }

    /// Beyond `i128` it is a float, as it is beyond `u128` in ron.
    fn visit_u128<E>(self, value: u128) -> Result<(), E> {
        self.number(i128::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.ends(if value { 4 } else { 5 }, Value::Bool(value))
    }

    fn visit_char<E>(self, value: char) -> Result<(), E> {
        if self.rest()[1..].starts_with('\\') {
            return self.scalar(Value::Char(value));
        }
        self.ends(2 + value.len_utf8(), Value::Char(value))
    }

    /// A string without escapes, which is a slice of the text.
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        // What precedes it also follows it: the quote and a raw string's hashes, except for its `r`.
        let before = text.as_ptr() as usize - self.rest().as_ptr() as usize;
        let after = before - usize::from(self.begins(b'r'));
        self.ends(before + text.len() + after, Value::Str(text.to_owned()))
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.scalar(Value::Str(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<(), E> {
        self.scalar(Value::Str(text))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<(), E> {
        let end = self.reading.end_of_value(self.start);
        let item = |byte: &u8| Node {
            value: Value::Int((*byte).into()),
            span: self.start..end,
            source: Arc::clone(self.reading.source),
        };
        let items = bytes.iter().map(item).collect();
        self.reading.offset = end;
        self.reading.finish(self.start, Value::List(items))
    }

    fn visit_none<E>(self) -> Result<(), E> {
        self.ends(4, Value::Ident("None".into()))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let reading = self.reading;
        reading.offset = self.start + 4;
        let entered = reading.enter(b'(');
        // Without the extension, ron reads a single value from these brackets.
        if entered && reading.unwraps {
            reading.unwrapped = Some(reading.end_of_value(self.start) == self.start);
        }
        let first = reading.items.len();
        NodeSeed(&mut *reading).deserialize(deserializer)?;
        let items = reading.items.split_off(first);
        if entered {
            reading.skip(b',');
            reading.skip_space();
        }
        // Otherwise ron finds a second value here, and the bracket is still open.
        if reading.byte() == Some(b')') {
            reading.leave(entered);
        }
        reading.finish(self.start, Value::Tuple { name: Some("Some".into()), items })
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        let (length, value) = match self.name {
            Some((name, end)) => (end - self.start, Value::Ident(name.to_owned())),
            None if self.rest().starts_with("..") => (2, Value::Ident("RangeFull".into())),
            None if self.bare => (0, Value::Unit),
            None => (2, Value::Unit),
        };
        self.ends(length, value)
    }

    fn visit_enum<A: EnumAccess<'de>>(mut self, data: A) -> Result<(), A::Error> {
        let (name, variant) = data.variant_seed(NameSeed)?;
        let end = self.reading.end_of(name);
        self.name = Some((name, end));
        self.reading.offset = end;
        self.reading.skip_space();
        if self.reading.byte() != Some(b'(') {
            self.reading.offset = end;
            variant.unit_variant()?;
            return self.reading.finish(self.start, Value::Ident(name.to_owned()));
        }
        if self.reading.opens_fields() {
            variant.struct_variant(&[], self)
        } else {
            variant.tuple_variant(0, self)
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let is_list = !self.bare && self.begins(b'[');
        let (name, entered) = self.enter(if is_list { b'[' } else { b'(' });
        let reading = self.reading;
        let first = reading.items.len();
        while seq.next_element_seed(NodeSeed(reading))?.is_some() {
            reading.skip(b',');
        }
        let items = reading.items.split_off(first);
        reading.leave(entered);
        let value = match name {
            _ if is_list => Value::List(items),
            None if items.is_empty() => Value::Unit,
            name => Value::Tuple { name, items },
        };
        reading.finish(self.start, value)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        if self.is_range() {
            return self.range(map);
        }
        if !self.bare && self.begins(b'{') {
            return self.map(map);
        }
        let (name, entered) = self.enter(b'(');
        let reading = self.reading;
        let fields = struct_fields(reading, map, |reading, map| map.next_value_seed(NodeSeed(reading)))?;
        reading.leave(entered);
        reading.finish(self.start, Value::Struct { name, fields })
    }
}
