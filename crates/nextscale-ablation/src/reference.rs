//! The reference images of a comparison.

use std::path::{Path, PathBuf};

use nextscale_config::Node;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The images that others are compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reference {
    /// Shipped with the program: `Shipped("cifar10")`.
    Shipped(String),
    /// A folder of PNG or JPEG files, or folders of them.
    Images(PathBuf),
}

impl Reference {
    /// Reads a file's `reference`; paths are relative to `folder`.
    pub(crate) fn read(node: &Node, folder: &Path) -> Result<Self> {
        Ok(match node.decode()? {
            Self::Images(path) => {
                let path = folder.join(path);
                Self::Images(std::path::absolute(&path).map_err(Error::io("find", &path))?)
            }
            shipped @ Self::Shipped(_) => shipped,
        })
    }
}
