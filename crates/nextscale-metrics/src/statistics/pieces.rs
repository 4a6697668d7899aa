//! The features of some images of a set, in a file.
//!
//! Features and not sums: 50,000 images take a gigabyte of them with Inception, while sums of every 512 images
//! would take three; and features can be added in the set's order, whoever computed them.

use std::ops::Range;
use std::path::Path;

use nextscale_files::write_atomically;
use nextscale_weights::serialize;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::collector::NetFacts;
use super::file::{bytes_of, digest};
use crate::{Error, Features, Result};

/// The metadata's key.
const KEY: &str = "nextscale_features";
const POOLED: &str = "pooled";
const SPATIAL: &str = "spatial";
const LOGITS: &str = "logits";

/// The metadata.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    first: u64,
    count: u64,
    /// SHA-256 of the images (see [`ContentHash`](crate::source::ContentHash)).
    images: String,
    /// SHA-256 over all tensors' bytes, in the order of their names.
    sha256: String,
}

/// Writes the features of the images `range`, whose content has the hash `images`.
pub fn write(path: &Path, range: &Range<u64>, features: &Features, images: String) -> Result<()> {
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let mut tensors = vec![(POOLED, bytes(&features.pooled))];
    tensors.extend(features.spatial.as_deref().map(|values| (SPATIAL, bytes(values))));
    tensors.extend(features.logits.as_deref().map(|values| (LOGITS, bytes(values))));
    let header = Header {
        first: range.start,
        count: features.count as u64,
        images,
        sha256: digest(tensors.iter().map(|(name, bytes)| (*name, &bytes[..]))),
    };
    let text = serde_json::to_string(&header).unwrap_or_default();
    let tensors = tensors.iter().map(|(name, bytes)| (*name, Dtype::F32, vec![bytes.len() / 4], &bytes[..]));
    let bytes = serialize(tensors, [(KEY, text)])
        .map_err(|error| Error::source(path, format!("cannot be written: {error}")))?;
    write_atomically(path, &bytes).map_err(Error::io("write", path))
}

/// Reads the features of the images `range`, and the hash of these images.
pub fn read(path: &Path, range: &Range<u64>, net: &NetFacts) -> Result<(Features, String)> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let damaged = || Error::source(path, "is damaged; delete it, and start its shard again");
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|_| damaged())?;
    let file = SafeTensors::deserialize(&bytes).map_err(|_| damaged())?;
    let text = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY)).ok_or_else(damaged)?;
    let header: Header = serde_json::from_str(text).map_err(|_| damaged())?;
    let tensors = file.tensors();
    let sound = digest(tensors.iter().map(|(name, view)| (name.as_str(), view.data()))) == header.sha256
        && (header.first, Some(header.count)) == (range.start, range.end.checked_sub(range.start));
    if !sound {
        return Err(damaged());
    }
    let values = |name: &str| {
        let view = file.tensor(name).ok().filter(|view| view.dtype() == Dtype::F32)?;
        Some(bytes_of(view.data()).map(f32::from_le_bytes).collect::<Vec<f32>>())
    };
    let features = Features {
        count: header.count as usize,
        dims: net.dims,
        pooled: values(POOLED).ok_or_else(damaged)?,
        spatial: net.spatial_dims.and_then(|_| values(SPATIAL)),
        logits: net.classes.and_then(|_| values(LOGITS)),
    };
    Ok((features, header.images))
}
