//! A chunk of images, or of a judge's data about them, as a safetensors file.

use std::path::Path;

use nextscale_files::{sha256, write_atomically};
use nextscale_weights::serialize;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::files::read;
use crate::images::Images;
use crate::judge::Rows;
use crate::{Error, Result};

/// The most images per file.
pub const CHUNK: u64 = 200;

pub(super) fn write_images(path: &Path, images: &Images) -> Result<()> {
    let shape = vec![images.count(), images.height, images.width, 3];
    write(path, "images", Dtype::U8, shape, &images.pixels)
}

pub(super) fn write_rows(path: &Path, rows: &Rows) -> Result<()> {
    let shape = vec![rows.count(), rows.width];
    write(path, "rows", Dtype::F32, shape, bytemuck::cast_slice(&rows.values))
}

/// The header's key for the SHA-256 of the tensor's bytes. Files of earlier versions have none.
const HASH: &str = "sha256";

fn write(path: &Path, name: &str, dtype: Dtype, shape: Vec<usize>, bytes: &[u8]) -> Result<()> {
    let file = serialize([(name, dtype, shape, bytes)], [(HASH, sha256(bytes))])
        .map_err(|error| Error::Usage(format!("{}: {error}", path.display())))?;
    write_atomically(path, &file).map_err(Error::io("write", path))
}

pub(super) fn read_images(path: &Path) -> Result<Option<Images>> {
    with(path, "images", |tensor| match (tensor.dtype(), tensor.shape()) {
        (Dtype::U8, &[_, height, width, 3]) => Images::new(height, width, tensor.data().to_vec()).ok(),
        _ => None,
    })
}

pub(super) fn read_rows(path: &Path) -> Result<Option<Rows>> {
    with(path, "rows", |tensor| match (tensor.dtype(), tensor.shape()) {
        (Dtype::F32, &[_, width]) => Rows::new(width, bytemuck::pod_collect_to_vec(tensor.data())).ok(),
        _ => None,
    })
}

/// The first side of the tensor in a file; 0 if there is no file.
pub(super) fn count(path: &Path, name: &str) -> Result<u64> {
    let count = with(path, name, |tensor| tensor.shape().first().map(|&count| count as u64))?;
    Ok(count.unwrap_or(0))
}

fn with<T>(path: &Path, name: &str, take: impl FnOnce(TensorView<'_>) -> Option<T>) -> Result<Option<T>> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    let file = SafeTensors::deserialize(&bytes)
        .map_err(|error| Error::damaged(path, format!("is not a complete safetensors file ({error})")))?;
    let tensor = file.tensor(name).map_err(|_| Error::damaged(path, format!("holds no `{name}`")))?;
    // What was read parses, so nothing else would tell a flipped bit from an image.
    let (_, header) = SafeTensors::read_metadata(&bytes)
        .map_err(|error| Error::damaged(path, format!("has no readable header ({error})")))?;
    let hash = header.metadata().as_ref().and_then(|metadata| metadata.get(HASH));
    if hash.is_some_and(|hash| *hash != sha256(tensor.data())) {
        return Err(Error::damaged(path, format!("holds other `{name}` than were written to it")));
    }
    take(tensor)
        .map(Some)
        .ok_or_else(|| Error::damaged(path, format!("holds `{name}` of another type or shape")))
}
