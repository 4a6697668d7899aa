//! Files of the store, read and written.

use std::fs;
use std::path::Path;

use nextscale_files::write_atomically;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// The bytes of a file; `None` if it does not exist.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    }
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| Error::Usage(format!("{} cannot be written: {error}", path.display())))?;
    bytes.push(b'\n');
    write_atomically(path, &bytes).map_err(Error::io("write", path))
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    let value = serde_json::from_slice(&bytes);
    value.map(Some).map_err(|error| Error::damaged(path, format!("cannot be read ({error})")))
}
