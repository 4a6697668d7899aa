//! Serde structs from a tree. Each error names the place, what was found and what is allowed.
//!
//! What is taken for what: a whole number for a float, never the other way; `x`, `Some(x)` and `None` for an option; a
//! struct with or without its name; `Var(a: 1)` and `Var((a: 1))` for a variant over a struct; `Dse` and `Dse()` for one
//! without content or with defaults throughout; round or square brackets for a tuple. Fields a struct does not have are
//! always errors, with or without serde's `deny_unknown_fields`.

mod access;
mod reader;
mod view;

use serde::Deserialize;

use crate::{Node, Result};
use view::Reader;

impl Node {
    /// Reads a serde type from this value.
    ///
    /// For a type that is a number or a name, such as a strength over scales, write `Deserialize` with
    /// `deserialize_any`: the visitor gets numbers by `visit_i64`, `visit_u64` and `visit_f64`, a bare name by `visit_str`,
    /// and `Name(..)` by `visit_map` with one entry, from which `serde::de::value::MapAccessDeserializer` reads an enum.
    /// Serde's `untagged` works as well, but its errors cannot say which field within was wrong.
    ///
    /// # Errors
    /// What does not fit `T`, pointing at the innermost value that is wrong.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        T::deserialize(Reader::whole(self)).map_err(|error| error.at_node(self))
    }

    /// Reads what stands in the parentheses after the name.
    pub(crate) fn decode_payload<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        T::deserialize(Reader::payload(self)).map_err(|error| error.at_node(self))
    }
}

#[cfg(test)]
mod tests;
