//! Rows of prompts on disk, so that a run with known prompts needs no encoder.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use burn::tensor::TensorData;
use nextscale_files::{Hash, Lock, LockError, sha256};
use nextscale_weights::{Precision, StoredType, WeightFile, save_safetensors};

use crate::{Error, Result};

const ROWS: &str = "rows";
const DIGEST: &str = "sha256";

/// A folder of rows, one file per prompt, keyed by encoder and tokens. Several processes can share it.
#[derive(Debug, Clone)]
pub struct TextCache {
    folder: PathBuf,
}

impl TextCache {
    /// Opens a folder, creating it if necessary.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|source| Error::Io {
            action: "create",
            path: folder.clone(),
            source,
        })?;
        Ok(Self { folder })
    }

    fn path(&self, encoder: &str, tokens: &[u32]) -> PathBuf {
        let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
        self.folder.join(encoder).join(format!("{}.safetensors", Hash::from(bytes).short(16)))
    }

    /// An encoder's rows for these tokens; `None` if there are none or they are damaged.
    pub(crate) fn get(&self, encoder: &str, tokens: &[u32], width: usize) -> Option<Vec<f32>> {
        let file = WeightFile::open(self.path(encoder, tokens)).ok()?;
        let info = file.info(ROWS)?;
        if info.shape != [tokens.len(), width] || info.dtype != StoredType::F32 {
            return None;
        }
        let (rows, _) = file.values(ROWS).ok()?;
        (file.metadata().get(DIGEST) == Some(&digest(&rows))).then_some(rows)
    }

    /// Stores the rows of a prompt's tokens.
    ///
    /// # Errors
    /// A message, if they cannot be written.
    pub(crate) fn put(
        &self,
        encoder: &str,
        prompt: &str,
        tokens: &[u32],
        rows: &[f32],
    ) -> Result<(), String> {
        let path = self.path(encoder, tokens);
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))
            .map_err(|error| format!("cannot create the folder of {}: {error}", path.display()))?;
        let _lock = match Lock::beside(&path) {
            Ok(lock) => lock,
            // Another process is writing the same rows.
            Err(LockError::Held { .. }) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let metadata = BTreeMap::from([
            ("encoder".to_owned(), encoder.to_owned()),
            ("prompt".to_owned(), prompt.to_owned()),
            (DIGEST.to_owned(), digest(rows)),
        ]);
        let shape = [tokens.len(), rows.len() / tokens.len().max(1)];
        let rows = TensorData::new(rows.to_vec(), shape);
        save_safetensors(&path, [(ROWS.to_owned(), rows)], Precision::F32, &metadata)
            .map_err(|error| error.to_string())
    }
}

fn digest(rows: &[f32]) -> String {
    sha256(rows.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_and_damaged_ones_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = TextCache::open(folder.path().join("new")).unwrap();
        let (tokens, rows) = ([3, 1], [0.5, -1.0, f32::MIN_POSITIVE, 3.25]);
        assert_eq!(cache.get("e", &tokens, 2), None);
        cache.put("e", "a truck", &tokens, &rows).unwrap();
        assert_eq!(cache.get("e", &tokens, 2).as_deref(), Some(&rows[..]));
        // Another encoder, other tokens, another width.
        assert_eq!(cache.get("f", &tokens, 2), None);
        assert_eq!(cache.get("e", &[1, 3], 2), None);
        assert_eq!(cache.get("e", &tokens, 4), None);
        let path = cache.path("e", &tokens);
        let whole = fs::read(&path).unwrap();
        let last = whole.len() - 1;
        let flipped: Vec<u8> = whole[..last].iter().copied().chain([whole[last] ^ 1]).collect();
        for damaged in [&flipped[..], &whole[..last], &whole[..5], &[]] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(cache.get("e", &tokens, 2), None);
        }
        cache.put("e", "a truck", &tokens, &rows).unwrap();
        assert_eq!(cache.get("e", &tokens, 2).as_deref(), Some(&rows[..]));
        // Nothing else is left behind.
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_in_the_folder_s_place_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "x").unwrap();
        let error = TextCache::open(&path).unwrap_err().to_string();
        assert!(error.contains("file"), "{error}");
    }
}
