//! What serde walks through: items, fields, entries of a map, a named value.

use serde::de::{
    DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
    value::BorrowedStrDeserializer,
};

use super::view::Reader;
use crate::{ConfigError, Field, Node, Result, Value};

/// The items of a list or tuple.
pub(super) struct ItemAccess<'de> {
    items: &'de [Node],
    next: usize,
}

impl<'de> ItemAccess<'de> {
    pub(super) fn new(items: &'de [Node]) -> Self {
        Self { items, next: 0 }
    }
}

impl<'de> SeqAccess<'de> for ItemAccess<'de> {
    type Error = ConfigError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Some(item) = self.items.get(self.next) else { return Ok(None) };
        let index = self.next;
        self.next += 1;
        let item = seed
            .deserialize(Reader::whole(item))
            .map_err(|error| error.at_node(item).inside(format!("[{index}]")));
        item.map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len() - self.next)
    }
}

/// The fields of a struct, of which only the allowed ones may be there.
pub(super) struct FieldAccess<'de> {
    fields: &'de [Field],
    allowed: Option<&'static [&'static str]>,
    next: usize,
}

impl<'de> FieldAccess<'de> {
    pub(super) fn new(fields: &'de [Field], allowed: Option<&'static [&'static str]>) -> Self {
        Self { fields, allowed, next: 0 }
    }
}

impl<'de> MapAccess<'de> for FieldAccess<'de> {
    type Error = ConfigError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        let Some(field) = self.fields.get(self.next) else { return Ok(None) };
        let at = |error: ConfigError| error.at(&field.node.source, field.span.clone(), "");
        match self.allowed {
            Some(allowed) if !allowed.contains(&field.name.as_str()) => {
                Err(at(ConfigError::unknown("field", &field.name, allowed)))
            }
            _ => seed.deserialize(BorrowedStrDeserializer::new(&field.name)).map(Some).map_err(at),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        let field =
            self.fields.get(self.next).ok_or_else(|| ConfigError::new("a value was asked for too often"))?;
        self.next += 1;
        let value = seed.deserialize(Reader::field(field));
        value.map_err(|error| match error.is_about(field) {
            true => error,
            false => error.at_node(&field.node).inside(&field.name),
        })
    }
}

/// The entries of a map.
pub(super) struct EntryAccess<'de> {
    entries: &'de [(Node, Node)],
    next: usize,
}

impl<'de> EntryAccess<'de> {
    pub(super) fn new(entries: &'de [(Node, Node)]) -> Self {
        Self { entries, next: 0 }
    }
}

impl<'de> MapAccess<'de> for EntryAccess<'de> {
    type Error = ConfigError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        let Some((key, _)) = self.entries.get(self.next) else { return Ok(None) };
        seed.deserialize(Reader::whole(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        let entry = self.entries.get(self.next);
        let (key, value) = entry.ok_or_else(|| ConfigError::new("a value was asked for too often"))?;
        self.next += 1;
        seed.deserialize(Reader::whole(value)).map_err(|error| {
            let error = error.at_node(value);
            match &key.value {
                Value::Str(key) | Value::Ident(key) => error.inside(key),
                Value::Int(key) => error.inside(format!("[{key}]")),
                _ => error,
            }
        })
    }
}

/// `Name(..)` as a map of one entry, which is how serde's own buffers hold an enum.
pub(super) struct NamedAccess<'de> {
    name: Option<&'de str>,
    node: &'de Node,
}

impl<'de> NamedAccess<'de> {
    pub(super) fn new(name: &'de str, node: &'de Node) -> Self {
        Self { name: Some(name), node }
    }
}

impl<'de> MapAccess<'de> for NamedAccess<'de> {
    type Error = ConfigError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        let Some(name) = self.name.take() else { return Ok(None) };
        let key = seed.deserialize(BorrowedStrDeserializer::new(name));
        let end = (self.node.span.start + name.len()).min(self.node.span.end);
        key.map(Some).map_err(|error: ConfigError| error.at(&self.node.source, self.node.span.start..end, ""))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        seed.deserialize(Reader::payload(self.node)).map_err(|error| error.at_node(self.node))
    }
}

/// A named value as an enum's variant.
pub(super) struct EnumReader<'de> {
    name: &'de str,
    node: &'de Node,
}

impl<'de> EnumReader<'de> {
    pub(super) fn new(name: &'de str, node: &'de Node) -> Self {
        Self { name, node }
    }
}

impl<'de> EnumAccess<'de> for EnumReader<'de> {
    type Error = ConfigError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let name: BorrowedStrDeserializer<'de, ConfigError> = BorrowedStrDeserializer::new(self.name);
        Ok((seed.deserialize(name.into_deserializer())?, self))
    }
}

impl<'de> VariantAccess<'de> for EnumReader<'de> {
    type Error = ConfigError;

    fn unit_variant(self) -> Result<()> {
        let payload = Reader::payload(self.node);
        if payload.is_empty() {
            return Ok(());
        }
        let error = self.node.error(format!("`{}` takes nothing in parentheses", self.name));
        Err(error.with_help(format!("write {}", self.name)))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        let bare = matches!(self.node.value, Value::Ident(_));
        seed.deserialize(Reader::payload(self.node)).map_err(|error| {
            let error = error.at_node(self.node);
            match bare {
                true if error.help_text().is_none() => error.with_help(format!("write `{}(..)`", self.name)),
                _ => error,
            }
        })
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value> {
        serde::Deserializer::deserialize_tuple(Reader::payload(self.node), length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        // A variant's fields have no name of their own.
        serde::Deserializer::deserialize_struct(Reader::payload(self.node), "", fields, visitor)
    }
}
