use std::collections::BTreeMap;

use crate::{Result, ShardError};

/// A process's environment variables by name.
pub type Variables = BTreeMap<String, String>;

/// Those of this process; what is not Unicode is left out.
pub fn variables() -> Variables {
    let pair = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(pair).collect()
}

/// The number in a variable; `None` if it is not set or empty.
pub(super) fn number(variables: &Variables, name: &str) -> Result<Option<u64>> {
    let text = match variables.get(name).map(|text| text.trim()) {
        None | Some("") => return Ok(None),
        Some(text) => text,
    };
    text.parse().map(Some).map_err(|_| {
        ShardError::Refused(format!(
            "{name} is `{text}`, which is not a number from 0; correct it, or say --shard i/n"
        ))
    })
}
