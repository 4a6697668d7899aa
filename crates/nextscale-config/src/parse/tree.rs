//! The tree, built while ron's deserialiser walks the text.
//!
//! Ron tells a visitor neither where it stands nor how a struct is called. Both are read off the text: ron visits the
//! values in order, so the place after one value, with white space and a comma skipped, is the place of the next.

use std::{collections::HashMap, fmt, sync::Arc};

use ron::de::Deserializer as Ron;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, VariantAccess, Visitor},
};

use super::MAX_DEPTH;
use crate::{ConfigError, Field, Node, Source, Span, Value, hash::identity, suggest::cut};

/// From this many fields on, names are looked up in an index.
const MANY: usize = 16;

/// Where the reading of a text stands.
pub(super) struct Reading<'a> {
    pub(super) source: &'a Arc<Source>,
    /// The text, up to the end of the value that is being read.
    pub(super) text: &'a str,
    /// All before this byte is read.
    pub(super) offset: usize,
    /// Where the scalar or key that is being read begins.
    pub(super) token: usize,
    /// The brackets that are open.
    pub(super) open: Vec<usize>,
    /// The field whose value comes next.
    pub(super) key: Option<Span>,
    /// What is wrong, where it is not ron that found it.
    pub(super) fault: Option<ConfigError>,
    /// Whether the text enables ron's extension `unwrap_variant_newtypes`, by which `Some(a: 1)` is `Some((a: 1))`.
    pub(super) unwraps: bool,
    /// Set if the next value stands in such brackets: whether it has none of its own.
    unwrapped: Option<bool>,
    depth: usize,
    /// The items and fields of all values that are open, so that each is given a list of the right length at its end.
    items: Vec<Node>,
    fields: Vec<Field>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(source: &'a Arc<Source>, span: Span) -> Self {
        let text = &source.text[..span.end];
        let (offset, token) = (span.start, span.start);
        Self {
            source,
            text,
            offset,
            token,
            open: Vec::new(),
            key: None,
            fault: None,
            unwraps: false,
            unwrapped: None,
            depth: 0,
            items: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// Goes to where ron has `remainder` still to read.
    pub(super) fn stand_before(&mut self, remainder: &str) {
        self.offset = self.text.len() - remainder.len();
        self.token = self.offset;
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.offset..]
    }

    /// The byte that comes next.
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.offset).copied()
    }

    /// Skips white space and comments.
    pub(super) fn skip_space(&mut self) {
        loop {
            match self.byte() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.offset += 1,
                Some(b'/') if self.rest().starts_with("//") => {
                    self.offset += self.rest().find('\n').unwrap_or(self.rest().len());
                }
                _ => break,
            }
        }
        // Block comments and the rarer kinds are ron's to know. What it cannot skip, it will refuse itself.
        if matches!(self.byte(), Some(b'/' | 0x0B | 0x0C | 0x80..))
            && let Ok(ron) = Ron::from_str(self.rest())
        {
            self.offset = self.text.len() - ron.remainder().len();
        }
    }

    fn skip(&mut self, mark: u8) -> bool {
        self.skip_space();
        let found = self.byte() == Some(mark);
        self.offset += usize::from(found);
        found
    }

    /// Enters a bracket, if one stands here.
    fn enter(&mut self, bracket: u8) -> bool {
        let found = self.skip(bracket);
        if found {
            self.open.push(self.offset - 1);
        }
        found
    }

    fn leave(&mut self, entered: bool) {
        if entered {
            self.skip_space();
            self.offset += 1;
            self.open.pop();
        }
    }

    /// The name that stands here, plain or raw, and where it ends.
    fn name(&self) -> Option<(&'a str, usize)> {
        if !matches!(self.byte(), Some(b'_' | b'a'..=b'z' | b'A'..=b'Z' | 0x80..)) {
            return None;
        }
        let rest = self.rest();
        let ascii = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        if matches!(rest.as_bytes().get(ascii), Some(b' ' | b'(' | b')' | b',' | b':' | b'\n')) {
            return Some((&rest[..ascii], self.offset + ascii));
        }
        let mut ron = Ron::from_str(rest).ok()?;
        let name = (&mut ron).deserialize_identifier(BorrowedName).ok()?;
        Some((name, self.text.len() - ron.remainder().len()))
    }

    /// The end of the value that begins at `start`, as ron reads it on its own; `start` where it does not.
    fn end_of_value(&self, start: usize) -> usize {
        let rest = &self.text[start..];
        let end = || {
            let mut ron = Ron::from_str(rest).ok()?;
            IgnoredAny::deserialize(&mut ron).ok()?;
            Some(self.text.len() - ron.remainder().len())
        };
        end().unwrap_or(start)
    }

    /// Where a name ends that ron lent from the text.
    fn end_of(&self, name: &str) -> usize {
        name.as_ptr() as usize - self.text.as_ptr() as usize + name.len()
    }

    /// Leaves an error for [`super::parse_part`] and one for ron to hand up.
    fn fail<E: Error>(&mut self, error: ConfigError) -> E {
        self.fault = Some(error);
        E::custom("")
    }

    fn twice<E: Error>(&mut self, what: &str, second: Span, first: Span) -> E {
        let error = ConfigError::new(format!("{what} is given twice"))
            .at(self.source, second, "the second time")
            .also_at(self.source, first, "the first time")
            .with_help("remove one of the two");
        self.fail(error)
    }
}

struct BorrowedName;

impl<'de> Visitor<'de> for BorrowedName {
    type Value = &'de str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<&'de str, E> {
        Ok(name)
    }
}

/// Reads the value that ron comes to next.
pub(super) struct NodeSeed<'r, 'a>(pub(super) &'r mut Reading<'a>);

impl<'de> DeserializeSeed<'de> for NodeSeed<'_, 'de> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
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
        let whole = Whole { reading: &mut *reading, start, name, bare };
        // Ron's `deserialize_any` tries a dozen words first, so the common kinds are asked for by name.
        let value = match kind {
            Kind::List => deserializer.deserialize_seq(whole),
            Kind::Map => deserializer.deserialize_map(whole),
            Kind::Fields => deserializer.deserialize_struct("", &[], whole),
            Kind::Tuple => deserializer.deserialize_tuple(0, whole),
            Kind::Named => deserializer.deserialize_enum("", &[], whole),
            Kind::Text => deserializer.deserialize_str(whole),
            Kind::Whole => deserializer.deserialize_i64(whole),
            Kind::Fraction => deserializer.deserialize_f64(whole),
            Kind::Any => deserializer.deserialize_any(whole),
        }?;
        reading.depth -= 1;
        Ok(Node { value, span: start..reading.offset, source: Arc::clone(reading.source) })
    }
}

/// What begins at a place, as far as its first characters tell.
enum Kind {
    List,
    Map,
    Fields,
    Tuple,
    Named,
    Text,
    /// Digits, few enough for an `i64`.
    Whole,
    /// Digits with one point among them.
    Fraction,
    /// All else.
    Any,
}

impl Reading<'_> {
    fn kind(&mut self) -> Kind {
        let rest = self.rest().as_bytes();
        match rest.first() {
            Some(b'[') => Kind::List,
            Some(b'{') => Kind::Map,
            Some(b'"') => Kind::Text,
            Some(b'(') if self.opens_fields() => Kind::Fields,
            Some(b'(') => Kind::Tuple,
            Some(b'0'..=b'9' | b'-') => {
                let number = &rest[..number_length(rest)];
                let points = number.iter().filter(|byte| **byte == b'.').count();
                let digits = number.iter().skip(1).filter(|byte| byte.is_ascii_digit()).count();
                match number.len() - 1 - digits - points {
                    0 if points == 0 && digits < 18 => Kind::Whole,
                    0 if points == 1 => Kind::Fraction,
                    _ => Kind::Any,
                }
            }
            // What begins a string, a byte, or a word that is no name.
            Some(b'r' | b'b') if matches!(rest.get(1), Some(b'"' | b'\'' | b'#' | b'r')) => Kind::Any,
            Some(b't' | b'f' | b'S' | b'N' | b'i') => match self.name() {
                Some((name, _)) if !is_keyword(name) && !matches!(name, "Some" | "None") => Kind::Named,
                _ => Kind::Any,
            },
            Some(byte) if byte.is_ascii_alphabetic() || *byte == b'_' => Kind::Named,
            _ => Kind::Any,
        }
    }

    /// Whether the bracket at this place holds `name: value`.
    fn opens_fields(&mut self) -> bool {
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

/// The length of the number at the beginning, which ron has to accept.
fn number_length(text: &[u8]) -> usize {
    let in_number = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-');
    text.iter().position(|byte| !in_number(byte)).unwrap_or(text.len())
}

/// Whether a word is a value and no name: `true`, `inf`.
pub(crate) fn is_keyword(word: &str) -> bool {
    matches!(word, "true" | "false" | "inf" | "inff32" | "inff64" | "NaN" | "NaNf32" | "NaNf64")
}

/// One value: where it begins, the name that stands there, and whether it lacks brackets.
struct Whole<'r, 'a> {
    reading: &'r mut Reading<'a>,
    start: usize,
    name: Option<(&'a str, usize)>,
    bare: bool,
}

impl<'a> Whole<'_, 'a> {
    fn rest(&self) -> &'a str {
        &self.reading.text[self.start..]
    }

    fn begins(&self, byte: u8) -> bool {
        self.reading.text.as_bytes().get(self.start) == Some(&byte)
    }

    fn ends<E>(self, length: usize, value: Value) -> Result<Value, E> {
        self.reading.offset = self.start + length;
        Ok(value)
    }

    fn number<E>(self, value: Value) -> Result<Value, E> {
        let rest = self.rest();
        if rest.starts_with("b'") {
            return self.scalar(value);
        }
        self.ends(number_length(rest.as_bytes()), value)
    }

    /// A scalar that only ron knows the end of.
    fn scalar<E>(self, value: Value) -> Result<Value, E> {
        self.reading.offset = self.reading.end_of_value(self.start);
        Ok(value)
    }

    /// Passes the name and the bracket, where the value has them.
    fn enter(&mut self, bracket: u8) -> (Option<String>, bool) {
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
        fn $method<E>(self, value: $type) -> Result<Value, E> {
            self.number(Value::$variant(value.into()))
        }
    )*};
}

impl<'de> Visitor<'de> for Whole<'_, 'de> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
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

    /// Beyond `i128` it is a float, as to ron beyond `u128`.
    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        self.number(i128::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        self.ends(if value { 4 } else { 5 }, Value::Bool(value))
    }

    fn visit_char<E>(self, value: char) -> Result<Value, E> {
        if self.rest()[1..].starts_with('\\') {
            return self.scalar(Value::Char(value));
        }
        self.ends(2 + value.len_utf8(), Value::Char(value))
    }

    /// A string without escapes, which is a piece of the text.
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value, E> {
        // What stands before it, stands behind it: the quote and a raw string's hashes, but for its `r`.
        let before = text.as_ptr() as usize - self.rest().as_ptr() as usize;
        let after = before - usize::from(self.begins(b'r'));
        self.ends(before + text.len() + after, Value::Str(text.to_owned()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        self.scalar(Value::Str(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        self.scalar(Value::Str(text))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
        let end = self.reading.end_of_value(self.start);
        let item = |byte: &u8| Node {
            value: Value::Int((*byte).into()),
            span: self.start..end,
            source: Arc::clone(self.reading.source),
        };
        let items = bytes.iter().map(item).collect();
        self.reading.offset = end;
        Ok(Value::List(items))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        self.ends(4, Value::Ident("None".into()))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let reading = self.reading;
        reading.offset = self.start + 4;
        let entered = reading.enter(b'(');
        // Without the extension, ron reads one value only from these brackets.
        if entered && reading.unwraps {
            reading.unwrapped = Some(reading.end_of_value(self.start) == self.start);
        }
        let items = vec![NodeSeed(reading).deserialize(deserializer)?];
        if entered {
            reading.skip(b',');
            reading.skip_space();
        }
        // Otherwise ron finds a second value here, and the bracket is still open.
        if reading.byte() == Some(b')') {
            reading.leave(entered);
        }
        Ok(Value::Tuple { name: Some("Some".into()), items })
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        let (length, value) = match self.name {
            Some((name, end)) => (end - self.start, Value::Ident(name.to_owned())),
            None if self.rest().starts_with("..") => (2, Value::Ident("RangeFull".into())),
            None if self.bare => (0, Value::Unit),
            None => (2, Value::Unit),
        };
        self.ends(length, value)
    }

    fn visit_enum<A: EnumAccess<'de>>(mut self, data: A) -> Result<Value, A::Error> {
        let (name, variant) = data.variant_seed(NameSeed)?;
        let end = self.reading.end_of(name);
        self.name = Some((name, end));
        self.reading.offset = end;
        self.reading.skip_space();
        if self.reading.byte() != Some(b'(') {
            self.reading.offset = end;
            return variant.unit_variant().map(|()| Value::Ident(name.to_owned()));
        }
        if self.reading.opens_fields() {
            variant.struct_variant(&[], self)
        } else {
            variant.tuple_variant(0, self)
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        let is_list = !self.bare && self.begins(b'[');
        let (name, entered) = self.enter(if is_list { b'[' } else { b'(' });
        let reading = self.reading;
        let first = reading.items.len();
        while let Some(item) = seq.next_element_seed(NodeSeed(reading))? {
            reading.items.push(item);
            reading.skip(b',');
        }
        let items = reading.items.split_off(first);
        reading.leave(entered);
        Ok(match name {
            _ if is_list => Value::List(items),
            None if items.is_empty() => Value::Unit,
            name => Value::Tuple { name, items },
        })
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<Value, A::Error> {
        if self.is_range() {
            return self.range(map);
        }
        if !self.bare && self.begins(b'{') {
            return self.map(map);
        }
        let (name, entered) = self.enter(b'(');
        let reading = self.reading;
        let fields = struct_fields(reading, map)?;
        reading.leave(entered);
        Ok(Value::Struct { name, fields })
    }
}

impl<'de> Whole<'_, 'de> {
    fn map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let (_, entered) = self.enter(b'{');
        let reading = self.reading;
        let mut entries: Vec<(Node, Node)> = Vec::new();
        let mut index: HashMap<Vec<u8>, usize> = HashMap::new();
        while let Some(key) = map.next_key_seed(NodeSeed(reading))? {
            if !entries.is_empty() {
                index.extend((index.len()..entries.len()).map(|at| (identity(&entries[at].0), at)));
                if let Some(&first) = index.get(&identity(&key)) {
                    let first = entries[first].0.span.clone();
                    return Err(reading.twice("this key", key.span, first));
                }
            }
            reading.skip(b':');
            entries.push((key, map.next_value_seed(NodeSeed(reading))?));
            reading.skip(b',');
        }
        reading.leave(entered);
        Ok(Value::Map(entries))
    }

    /// `1..2`, `1..=2`, `1..`, `..2` and `..=2`, by the names that `std::ops` and serde give them.
    fn range<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        let end = self.reading.end_of_value(self.start);
        let text = &self.reading.text[self.start..end];
        let (from, to) = text.split_once("..").unwrap_or((text, ""));
        let (to, inclusive) = to.strip_prefix('=').map_or((to, false), |to| (to, true));
        let name = match (from, to, inclusive) {
            (_, "", _) => "RangeFrom",
            ("", _, false) => "RangeTo",
            ("", _, true) => "RangeToInclusive",
            (_, _, false) => "Range",
            (_, _, true) => "RangeInclusive",
        };
        let mut fields = Vec::new();
        for (name, part, at) in [("start", from, self.start), ("end", to, end - to.len())] {
            if part.is_empty() {
                continue;
            }
            let span = at..at + part.len();
            let node = super::parse_part(self.reading.source, span.clone());
            let node = node.map_err(|error| self.reading.fail(error))?;
            fields.push(Field { name: name.into(), span, node });
        }
        self.ends(text.len(), Value::Struct { name: Some(name.into()), fields })
    }
}

fn struct_fields<'de, A: MapAccess<'de>>(
    reading: &mut Reading<'de>,
    mut map: A,
) -> Result<Vec<Field>, A::Error> {
    let before = reading.fields.len();
    let mut index: HashMap<String, usize> = HashMap::new();
    loop {
        reading.skip_space();
        reading.token = reading.offset;
        let Some(name) = map.next_key_seed(NameSeed)? else { return Ok(reading.fields.split_off(before)) };
        let end = reading.end_of(name);
        let span = reading.offset..end;
        let fields = &reading.fields[before..];
        let first = if fields.len() < MANY {
            fields.iter().position(|field| field.name == name)
        } else {
            index.extend((index.len()..fields.len()).map(|at| (fields[at].name.clone(), at)));
            index.get(name).copied()
        };
        if let Some(first) = first {
            let first = fields[first].span.clone();
            return Err(reading.twice(&format!("the field `{}`", cut(name)), span, first));
        }
        reading.offset = end;
        reading.key = Some(span.clone());
        reading.skip(b':');
        let node = map.next_value_seed(NodeSeed(reading))?;
        reading.fields.push(Field { name: name.to_owned(), span, node });
        reading.skip(b',');
    }
}

/// Reads the name of a field or a variant.
struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = &'de str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'de str, D::Error> {
        deserializer.deserialize_identifier(BorrowedName)
    }
}
