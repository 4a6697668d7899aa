//! Entries of maps, without duplicate keys, and ranges.

use std::collections::HashMap;

use serde::de::{IgnoredAny, MapAccess};

use super::{
    parse_part,
    tree::{NodeSeed, Whole},
};
use crate::{Field, Value, hash::identity};

impl<'de> Whole<'_, 'de> {
    pub(super) fn map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let (_, entered) = self.enter(b'{');
        let reading = self.reading;
        let first = reading.items.len();
        let mut index: HashMap<Vec<u8>, usize> = HashMap::new();
        // A key and its value are consecutive on the stack.
        while map.next_key_seed(NodeSeed(reading))?.is_some() {
            let last = reading.items.len() - 1;
            if last > first {
                let keys = (first..last).step_by(2).skip(index.len());
                index.extend(keys.map(|at| (identity(&reading.items[at]), at)));
                let key = &reading.items[last];
                if let Some(&at) = index.get(&identity(key)) {
                    let (second, first) = (key.span.clone(), reading.items[at].span.clone());
                    return Err(reading.twice("this key", second, first));
                }
            }
            reading.skip(b':');
            map.next_value_seed(NodeSeed(reading))?;
            reading.skip(b',');
        }
        reading.leave(entered);
        let mut entries = Vec::with_capacity((reading.items.len() - first) / 2);
        let mut nodes = reading.items.drain(first..);
        while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
            entries.push((key, value));
        }
        drop(nodes);
        reading.finish(self.start, Value::Map(entries))
    }

    /// `1..2`, `1..=2`, `1..`, `..2` and `..=2`, with the field names of `std::ops` and serde.
    pub(super) fn range<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
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
