//! The serde `Deserializer` over a node, or over what its parentheses hold.

use serde::{
    Deserializer,
    de::{Visitor, value::MapDeserializer},
    forward_to_deserialize_any,
};

use super::{
    access::{EntryAccess, EnumReader, FieldAccess, ItemAccess, NamedAccess},
    view::Reader,
};
use crate::{ConfigError, Result, Value, raw, suggest::cut};

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            let (low, high) = (<$type>::MIN, <$type>::MAX);
            match self.node.value {
                Value::Int(value) => match <$type>::try_from(value) {
                    Ok(value) => self.with(visitor.$visit(value)),
                    Err(_) if low == 0 && value < 0 => Err(self.expected("a whole number, 0 or more")),
                    Err(_) => Err(self.expected(&format!("a whole number from {low} to {high}"))),
                },
                Value::Float(value) if value.fract() == 0.0 && value.abs() < 1e15 => {
                    Err(self.expected("a whole number").with_help(format!("write {value:.0}, without a point")))
                }
                _ => Err(self.expected("a whole number")),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = ConfigError;

    integers! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_i128 visit_i128 i128,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_u128 visit_u128 u128,
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let result = match &self.node.value {
            // An empty map serves units, structs of defaults and serde's buffers alike.
            _ if self.nameless && self.is_empty() => {
                visitor.visit_map(MapDeserializer::new(std::iter::empty::<(&str, &str)>()))
            }
            Value::Unit => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => visitor.visit_i128(*value),
            },
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Char(value) => visitor.visit_char(*value),
            Value::Str(text) => visitor.visit_borrowed_str(text),
            Value::Ident(name) if name == "None" => visitor.visit_none(),
            Value::Ident(name) => visitor.visit_borrowed_str(name),
            Value::Tuple { name: Some(name), items }
                if !self.nameless && name == "Some" && items.len() == 1 =>
            {
                visitor.visit_some(Reader::whole(&items[0]))
            }
            Value::Tuple { name: Some(name), .. } | Value::Struct { name: Some(name), .. }
                if !self.nameless =>
            {
                visitor.visit_map(NamedAccess::new(name, self.node))
            }
            Value::List(items) | Value::Tuple { items, .. } => visitor.visit_seq(ItemAccess::new(items)),
            Value::Struct { fields, .. } => visitor.visit_map(FieldAccess::new(fields, None)),
            Value::Map(entries) => visitor.visit_map(EntryAccess::new(entries)),
        };
        self.with(result)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.node.value {
            Value::Bool(value) => self.with(visitor.visit_bool(value)),
            _ => Err(self.expected("`true` or `false`")),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.node.value {
            Value::Float(value) if value.is_finite() && (value as f32).is_infinite() => {
                Err(self.expected(&format!("a number up to {:e}", f32::MAX)))
            }
            _ => self.deserialize_f64(visitor),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.node.value {
            Value::Float(value) => self.with(visitor.visit_f64(value)),
            Value::Int(value) => self.with(visitor.visit_f64(value as f64)),
            _ => Err(self.expected("a number")),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match &self.node.value {
            Value::Char(value) => self.with(visitor.visit_char(*value)),
            Value::Str(text) => self.with(visitor.visit_str(text)),
            _ => Err(self.expected("a character")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.with(visitor.visit_borrowed_str(self.text()?))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let result = match &self.node.value {
            Value::Ident(name) if name == "None" && !self.nameless => visitor.visit_none(),
            Value::Tuple { name: Some(name), items } if name == "Some" && items.len() == 1 => {
                visitor.visit_some(Reader::whole(&items[0]))
            }
            _ => visitor.visit_some(self),
        };
        self.with(result)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.name().is_none() && self.is_empty() {
            self.with(visitor.visit_unit())
        } else {
            Err(self.expected("`()`"))
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value> {
        if self.fields_of(name)?.is_empty() {
            self.with(visitor.visit_unit())
        } else {
            Err(self.expected(&format!("`{name}`")))
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value> {
        if name == raw::RAW {
            let mut node = self.node.clone();
            if self.nameless
                && let Value::Tuple { name, .. } | Value::Struct { name, .. } = &mut node.value
            {
                *name = None;
            }
            raw::hand_over(node);
            return self.with(visitor.visit_unit());
        }
        match &self.node.value {
            Value::Tuple { items, .. }
                if items.len() == 1 && self.name().is_none_or(|found| found == name) =>
            {
                self.with(visitor.visit_newtype_struct(Reader::whole(&items[0])))
            }
            _ => self.with(visitor.visit_newtype_struct(self)),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.with(visitor.visit_seq(ItemAccess::new(self.items("a list, `[..]`", false)?)))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value> {
        let what = format!("{length} items, `(..)`");
        let items = self.items(&what, true)?;
        if items.len() != length {
            return Err(self.expected(&what));
        }
        self.with(visitor.visit_seq(ItemAccess::new(items)))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value> {
        if self.name() == Some(name) {
            return Reader { nameless: true, ..self }.deserialize_tuple(length, visitor);
        }
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let result = match &self.node.value {
            Value::Map(entries) => visitor.visit_map(EntryAccess::new(entries)),
            Value::Struct { fields, .. } => visitor.visit_map(FieldAccess::new(fields, None)),
            _ if self.is_empty() => visitor.visit_map(FieldAccess::new(&[], None)),
            _ => return Err(self.expected("a map, `{key: value, ..}`")),
        };
        self.with(result)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        allowed: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let fields = self.fields_of(name)?;
        self.with(visitor.visit_map(FieldAccess::new(fields, Some(allowed))))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let all = || variants.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        match self.name() {
            Some(name) if variants.contains(&name) => {
                self.with(visitor.visit_enum(EnumReader::new(name, self.node)))
            }
            Some(_) => Err(self.node.variant()?.unknown("name", variants.iter().copied())),
            None => Err(match &self.node.value {
                Value::Str(text) if variants.contains(&text.as_str()) => {
                    self.expected("a name").with_help(format!("write it without quotes: {text}"))
                }
                _ => self.expected("a name").with_help(format!("allowed: {}", all())),
            }),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match &self.node.value {
            Value::Ident(name) | Value::Str(name) => self.with(visitor.visit_borrowed_str(name)),
            _ => Err(self.expected("a name")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        // A struct that is read as a map, by way of `deserialize_any`, ignores the fields it does not know.
        match self.field {
            Some(field) => {
                let error = ConfigError::new(format!("unknown field `{}`", cut(&field.name)));
                Err(error.at(&field.node.source, field.span.clone(), ""))
            }
            None => visitor.visit_unit(),
        }
    }

    forward_to_deserialize_any! { bytes byte_buf }
}
