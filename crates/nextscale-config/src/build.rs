//! Serde values to trees, with the names of enum variants kept.

use std::sync::Arc;

use serde::{Serialize, Serializer, ser};

use crate::{ConfigError, Field, Node, Result, Source, Value, raw};

impl Node {
    /// The tree of a serde value. It has no text, so errors that point at it show none; parse [`Node::to_ron_string`]
    /// for that.
    ///
    /// # Errors
    /// A whole number beyond `i128`, or what the type's own `Serialize` refuses.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Node> {
        let source = Arc::new(Source { name: "a value".into(), text: String::new() });
        value.serialize(&Builder { source })
    }
}

struct Builder {
    source: Arc<Source>,
}

impl Builder {
    fn node(&self, value: Value) -> Result<Node> {
        Ok(Node { value, span: 0..0, source: Arc::clone(&self.source) })
    }

    fn group(&self, kind: Kind) -> Result<Group<'_>> {
        Ok(Group {
            builder: self,
            kind,
            items: Vec::new(),
            fields: Vec::new(),
            entries: Vec::new(),
            key: None,
        })
    }
}

enum Kind {
    List,
    Tuple(Option<String>),
    Struct(Option<String>),
    Map,
}

/// A value that is built part by part.
struct Group<'a> {
    builder: &'a Builder,
    kind: Kind,
    items: Vec<Node>,
    fields: Vec<Field>,
    entries: Vec<(Node, Node)>,
    key: Option<Node>,
}

impl Group<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.items.push(value.serialize(self.builder)?);
        Ok(())
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<()> {
        let node = value.serialize(self.builder)?;
        self.fields.push(Field { name: name.to_owned(), span: 0..0, node });
        Ok(())
    }

    fn finish(self) -> Result<Node> {
        let value = match self.kind {
            Kind::List => Value::List(self.items),
            Kind::Tuple(None) if self.items.is_empty() => Value::Unit,
            Kind::Tuple(name) => Value::Tuple { name, items: self.items },
            Kind::Struct(None) if self.fields.is_empty() => Value::Unit,
            Kind::Struct(name) if self.fields.is_empty() => Value::Tuple { name, items: Vec::new() },
            Kind::Struct(name) => Value::Struct { name, fields: self.fields },
            Kind::Map => Value::Map(self.entries),
        };
        self.builder.node(value)
    }
}

macro_rules! plain {
    ($($method:ident($type:ty) $variant:ident,)*) => {$(
        fn $method(self, value: $type) -> Result<Node> {
            self.node(Value::$variant(value.into()))
        }
    )*};
}

impl<'a> Serializer for &'a Builder {
    type Ok = Node;
    type Error = ConfigError;
    type SerializeSeq = Group<'a>;
    type SerializeTuple = Group<'a>;
    type SerializeTupleStruct = Group<'a>;
    type SerializeTupleVariant = Group<'a>;
    type SerializeMap = Group<'a>;
    type SerializeStruct = Group<'a>;
    type SerializeStructVariant = Group<'a>;

    plain! {
        serialize_bool(bool) Bool,
        serialize_i8(i8) Int,
        serialize_i16(i16) Int,
        serialize_i32(i32) Int,
        serialize_i64(i64) Int,
        serialize_i128(i128) Int,
        serialize_u8(u8) Int,
        serialize_u16(u16) Int,
        serialize_u32(u32) Int,
        serialize_u64(u64) Int,
        serialize_f64(f64) Float,
        serialize_char(char) Char,
        serialize_str(&str) Str,
    }

    fn serialize_u128(self, value: u128) -> Result<Node> {
        match i128::try_from(value) {
            Ok(value) => self.node(Value::Int(value)),
            Err(_) => Err(ConfigError::new(format!("{value} is too large for a config"))),
        }
    }

    fn serialize_f32(self, value: f32) -> Result<Node> {
        // By way of the shortest text, so that 0.1f32 is written 0.1 and not 0.10000000149.
        let short = value.to_string().parse().unwrap_or(f64::from(value));
        self.node(Value::Float(short))
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Node> {
        bytes.serialize(self)
    }

    fn serialize_none(self) -> Result<Node> {
        self.node(Value::Ident("None".into()))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Node> {
        let items = vec![value.serialize(self)?];
        self.node(Value::Tuple { name: Some("Some".into()), items })
    }

    fn serialize_unit(self) -> Result<Node> {
        self.node(Value::Unit)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<Node> {
        self.node(Value::Unit)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Node> {
        self.node(Value::Ident(variant.into()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<Node> {
        match raw::receive().filter(|_| name == raw::RAW) {
            Some(node) => Ok(node),
            None => value.serialize(self),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Node> {
        let name = Some(variant.to_owned());
        let inner = value.serialize(self)?;
        self.node(match inner.value {
            Value::Struct { name: None, fields } => Value::Struct { name, fields },
            Value::Unit => Value::Tuple { name, items: Vec::new() },
            _ => Value::Tuple { name, items: vec![inner] },
        })
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Group<'a>> {
        self.group(Kind::List)
    }

    fn serialize_tuple(self, _: usize) -> Result<Group<'a>> {
        self.group(Kind::Tuple(None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Group<'a>> {
        self.group(Kind::Tuple(None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Group<'a>> {
        self.group(Kind::Tuple(Some(variant.into())))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Group<'a>> {
        self.group(Kind::Map)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Group<'a>> {
        self.group(Kind::Struct(None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Group<'a>> {
        self.group(Kind::Struct(Some(variant.into())))
    }
}

macro_rules! groups {
    ($($trait:ident $method:ident,)*) => {$(
        impl ser::$trait for Group<'_> {
            type Ok = Node;
            type Error = ConfigError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
                self.item(value)
            }

            fn end(self) -> Result<Node> {
                self.finish()
            }
        }
    )*};
}

groups! {
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field,
}

macro_rules! structs {
    ($($trait:ident,)*) => {$(
        impl ser::$trait for Group<'_> {
            type Ok = Node;
            type Error = ConfigError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<()> {
                self.field(name, value)
            }

            fn end(self) -> Result<Node> {
                self.finish()
            }
        }
    )*};
}

structs! { SerializeStruct, SerializeStructVariant, }

impl ser::SerializeMap for Group<'_> {
    type Ok = Node;
    type Error = ConfigError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.key = Some(key.serialize(self.builder)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let key = self.key.take().ok_or_else(|| ConfigError::new("a map's value came before its key"))?;
        self.entries.push((key, value.serialize(self.builder)?));
        Ok(())
    }

    fn end(self) -> Result<Node> {
        self.finish()
    }
}
