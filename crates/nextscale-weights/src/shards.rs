//! Checkpoints in several files, as the Hugging Face libraries write them: an index names the shard of every
//! tensor.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{Error, Result};

/// The end of an index's name, whatever its shards are.
const INDEX: &str = ".index.json";
/// Where a folder's weights are looked for; the first one found is used.
const USUAL: [&str; 4] = [
    "model.safetensors.index.json",
    "model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
];
const KINDS: [&str; 4] = ["safetensors", "pth", "pt", "bin"];

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// One file of several, and the tensors that the index says it holds.
pub(crate) struct Shard {
    pub path: PathBuf,
    tensors: BTreeSet<String>,
}

impl Shard {
    /// Checks that the file holds exactly the tensors that the index assigns to it: a tensor in two shards
    /// would be ambiguous.
    pub fn check<'a>(&self, index: &Path, held: impl Iterator<Item = &'a String>) -> Result<()> {
        let held: BTreeSet<_> = held.cloned().collect();
        let Some(name) = held.symmetric_difference(&self.tensors).next() else { return Ok(()) };
        let shard = self.path.file_name().unwrap_or_default().display();
        let detail = if held.contains(name) {
            format!("{shard} holds `{name}`, which the index does not list")
        } else {
            format!("it lists `{name}` in {shard}, which does not hold it")
        };
        Err(Error::Index { file: index.into(), detail })
    }
}

/// Whether a path is an index.
pub(crate) fn is_index(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(INDEX))
}

/// The shards of an index, all of which must exist.
///
/// # Errors
/// If the index cannot be read or is not an index, or shards are missing.
pub(crate) fn read_index(path: &Path) -> Result<Vec<Shard>> {
    let text = std::fs::read(path).map_err(|source| Error::Read { path: path.into(), source })?;
    let unsound = |detail: String| Error::Index { file: path.into(), detail };
    let index: Index = serde_json::from_slice(&text).map_err(|error| unsound(error.to_string()))?;
    let mut shards = BTreeMap::<String, BTreeSet<String>>::new();
    for (tensor, shard) in index.weight_map {
        // A plain file name: an index from elsewhere must not lead out of its folder.
        if Path::new(&shard).file_name() != Some(shard.as_ref()) {
            return Err(unsound(format!("`{shard}` is not a file name")));
        }
        shards.entry(shard).or_default().insert(tensor);
    }
    if shards.is_empty() {
        return Err(unsound("it names no tensors".into()));
    }
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let missing: Vec<_> = shards.iter().filter(|(shard, _)| !folder.join(shard).is_file()).collect();
    if !missing.is_empty() {
        let tensors: usize = missing.iter().map(|(_, tensors)| tensors.len()).sum();
        let names: Vec<_> = missing.into_iter().map(|(shard, _)| shard.as_str()).collect();
        let missing = format!("{} ({tensors} tensors)", names.join(", "));
        return Err(Error::MissingShards { file: path.into(), folder, missing });
    }
    let shard = |(name, tensors)| Shard { path: folder.join::<String>(name), tensors };
    Ok(shards.into_iter().map(shard).collect())
}

/// The file or index that holds a folder's weights.
///
/// # Errors
/// If the folder cannot be read, or holds no weights or several.
pub(crate) fn weights_in(folder: &Path) -> Result<PathBuf> {
    if let Some(usual) = USUAL.iter().map(|name| folder.join(name)).find(|path| path.is_file()) {
        return Ok(usual);
    }
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let entries = entries.map_err(|source| Error::Read { path: folder.into(), source })?;
    let files: BTreeSet<PathBuf> =
        entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    let indexes: Vec<_> = files.iter().filter(|path| is_index(path)).collect();
    let weights =
        |path: &&PathBuf| path.extension().is_some_and(|kind| KINDS.iter().any(|known| kind == *known));
    let weights: Vec<_> = files.iter().filter(weights).collect();
    match (&indexes[..], &weights[..]) {
        ([one], _) | ([], [one]) => Ok((*one).clone()),
        ([], []) => Err(Error::Folder { folder: folder.into(), found: "it holds no weights".into() }),
        ([], several) | (several, _) => {
            let names = several.iter().filter_map(|path| path.file_name()).take(4);
            let names: Vec<_> = names.map(|name| name.display().to_string()).collect();
            let more = several.len().saturating_sub(names.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let found = format!("it holds {}{more}, and it is not clear which is meant", names.join(", "));
            Err(Error::Folder { folder: folder.into(), found })
        }
    }
}
