//! Fields, entries of maps and ranges: what has names or keys, of which none is given twice.

use std::collections::HashMap;

use serde::de::{IgnoredAny, MapAccess};

use super::{
    names::NameSeed,
    parse_part,
    reading::Reading,
    tree::{NodeSeed, Whole},
};
use crate::{Field, Node, Value, hash::identity, suggest::cut};

/// From this many fields on, names are looked up in an index.
const MANY: usize = 16;

impl<'de> Whole<'_, 'de> {
    pub(super) fn map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
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
    pub(super) fn range<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
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
            let node = parse_part(self.reading.source, span.clone());
            let node = node.map_err(|error| self.reading.fail(error))?;
            fields.push(Field { name: name.into(), span, node });
        }
        self.ends(text.len(), Value::Struct { name: Some(name.into()), fields })
    }
}

pub(super) fn struct_fields<'de, A: MapAccess<'de>>(
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
