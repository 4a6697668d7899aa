use std::io::ErrorKind;
use std::path::PathBuf;

use nextscale_files::{sha256, write_atomically};
use nextscale_weights::serialize;
use safetensors::tensor::{Dtype, SafeTensors};

use super::KEY;
use crate::{Error, Result};

/// The name of the tokens in the file.
const TOKENS: &str = "tokens";

/// The file of the tokens computed so far.
pub struct Part<'a> {
    /// Where it is.
    pub path: PathBuf,
    /// The origin of the tokens.
    pub key: &'a str,
}

impl Part<'_> {
    /// The tokens in it; none if there is no such file, or it is damaged or has another origin.
    ///
    /// # Errors
    /// [`Error::Io`] if it exists and cannot be read.
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

    /// Replaces the stored tokens.
    ///
    /// # Errors
    /// [`Error::Io`] if that fails.
    pub fn write(&self, tokens: &[u16]) -> Result<()> {
        let tensor = (TOKENS, Dtype::U16, vec![tokens.len()], bytemuck::cast_slice(tokens));
        let bytes = serialize([tensor], [(KEY, self.said(bytemuck::cast_slice(tokens)))])
            .map_err(|error| Error::data(&self.path, error.to_string()))?;
        write_atomically(&self.path, &bytes).map_err(Error::io(&self.path))
    }

    /// The file's metadata: the key, and the hash of the tokens.
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
