//! The fields of a struct, without duplicate names.

use std::collections::HashMap;

use serde::de::MapAccess;

use super::{names::NameSeed, reading::Reading};
use crate::{Field, Node, Span, suggest::cut};

/// From this many fields on, names are looked up in an index.
const MANY: usize = 16;

/// Reads all fields; `value` reads the next one and pushes its node onto the stack.
pub(super) fn struct_fields<'de, A: MapAccess<'de>>(
    reading: &mut Reading<'de>,
    mut map: A,
    value: impl Fn(&mut Reading<'de>, &mut A) -> Result<(), A::Error>,
) -> Result<Vec<Field>, A::Error> {
    let (before, first_item) = (reading.names.len(), reading.items.len());
    let mut index: HashMap<&'de str, usize> = HashMap::new();
    loop {
        reading.skip_space();
        reading.token = reading.offset;
        let Some(name) = map.next_key_seed(NameSeed)? else { break };
        let end = reading.end_of(name);
        let span = reading.offset..end;
        let names = &reading.names[before..];
        let first = if names.len() < MANY {
            names.iter().position(|(earlier, _)| *earlier == name)
        } else {
            index.extend((index.len()..names.len()).map(|at| (names[at].0, at)));
            index.get(name).copied()
        };
        if let Some(first) = first {
            let first = names[first].1.clone();
            return Err(reading.twice(&format!("the field `{}`", cut(name)), span, first));
        }
        reading.offset = end;
        reading.key = Some(span.clone());
        reading.names.push((name, span));
        reading.skip(b':');
        value(reading, &mut map)?;
        reading.skip(b',');
    }
    let field = |((name, span), node): ((&str, Span), Node)| Field { name: name.to_owned(), span, node };
    Ok(reading.names.drain(before..).zip(reading.items.drain(first_item..)).map(field).collect())
}
