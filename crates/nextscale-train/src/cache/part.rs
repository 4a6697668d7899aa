use std::io::ErrorKind;
use std::path::PathBuf;

use nextscale_files::{sha256, write_atomically};
use nextscale_weights::serialize;
use safetensors::tensor::{Dtype, SafeTensors};

use super::KEY;
use crate::{Error, Result};

/// The name of the tokens in the file.
const TOKENS: &str = "tokens";

/// The file of the tokens that are made so far.
pub struct Part<'a> {
    /// Where it is.
    pub path: PathBuf,
    /// What the tokens are made from.
    pub key: &'a str,
}

impl Part<'_> {
    /// The tokens in it; none where there is no such file, it is damaged, or of something else.
    ///
    /// # Errors
    /// [`Error::Io`] if it is there and cannot be read.
    pub fn read(&self) -> Result<Vec<u16>> {
        if !self.path.exists() {
            return Ok(Vec::new());
        }
        let bytes = std::fs::read(&self.path).map_err(Error::io(&self.path))?;
        let tokens = || {
            let (_, metadata) = SafeTensors::read_metadata(&bytes).ok()?;
            let tensors = SafeTensors::deserialize(&bytes).ok()?;
            let data = tensors.tensor(TOKENS).ok()?;
            let ours = *metadata.metadata().as_ref()?.get(KEY)? == self.said(data.data());
            ours.then(|| bytemuck::pod_collect_to_vec(data.data()))
        };
        Ok(tokens().unwrap_or_default())
    }

    /// Writes them in place of those before.
    ///
    /// # Errors
    /// [`Error::Io`] if that fails.
    pub fn write(&self, tokens: &[u16]) -> Result<()> {
        let tensor = (TOKENS, Dtype::U16, vec![tokens.len()], bytemuck::cast_slice(tokens));
        let bytes = serialize([tensor], [(KEY, self.said(bytemuck::cast_slice(tokens)))])
            .map_err(|error| Error::data(&self.path, error.to_string()))?;
        write_atomically(&self.path, &bytes).map_err(Error::io(&self.path))
    }

    /// What the file says of itself: the key, and the hash of the tokens.
    fn said(&self, tokens: &[u8]) -> String {
        format!("{}\n{}", self.key, sha256(tokens))
    }

    /// Removes the file, if there is one.
    ///
    /// # Errors
    /// [`Error::Io`] if that fails.
    pub fn remove(&self) -> Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io(&self.path)(error)),
            _ => Ok(()),
        }
    }
}
