//! What statistics are taken from: images, or a file that already has statistics.

use std::path::{Path, PathBuf};

use nextscale_files::FileKind;

use crate::source::{ImageSource, npz};
use crate::{Error, Result};

/// A set as given by the user, with its headers read.
#[derive(Debug, Clone)]
pub enum Input {
    /// Images, which must pass through a network.
    Images(ImageSource),
    /// A statistics file, or an `.npz` file of moments without images.
    File(PathBuf),
    /// Statistics that are part of the program, by name.
    Shipped(String),
}

impl Input {
    /// Opens `path`: a safetensors file, an `.npz` file without images, or images as in
    /// [`ImageSource::open_at`]. Files are recognised by their content. If nothing exists there, `cifar10`
    /// means the shipped statistics of CIFAR-10's test images on Lite0's features.
    ///
    /// # Errors
    /// As [`ImageSource::open_at`].
    pub fn open(path: &Path, side: Option<u32>) -> Result<Self> {
        if path.is_file() {
            let kind = FileKind::of(path).map_err(Error::io("read", path))?;
            let named = path.extension().is_some_and(|name| name.eq_ignore_ascii_case("safetensors"));
            let moments = kind == FileKind::Npz && npz::has_only_moments(path)?;
            if kind == FileKind::Safetensors || named || moments {
                return Ok(Self::File(path.into()));
            }
        }
        if path == Path::new("cifar10") && !path.exists() {
            return Ok(Self::Shipped("cifar10".into()));
        }
        ImageSource::open_at(path, side).map(Self::Images)
    }

    /// Its path or name.
    pub fn path(&self) -> &Path {
        match self {
            Self::Images(source) => source.path(),
            Self::File(path) => path,
            Self::Shipped(name) => Path::new(name),
        }
    }

    /// The `.npz` file, which may have moments with or without images.
    pub(super) fn array(&self) -> Result<Option<&Path>> {
        match self {
            Self::Images(source) => Ok(source.array()),
            Self::Shipped(_) => Ok(None),
            Self::File(path) => {
                let kind = FileKind::of(path).map_err(Error::io("read", path))?;
                Ok((kind == FileKind::Npz).then_some(path))
            }
        }
    }
}
