//! The layout of a run's folder, for writers and readers.
//!
//! A run folder holds [`MANIFEST`], which identifies its images; [`CONFIG`], the resolved config; a folder of
//! numbered images for every rule; and files made from the images: `grid.png`, `.npz` files.

mod folder;
pub(crate) mod place;

pub use folder::{Opened, RunError, RunFolder, place_of_shards};

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::other_device;

/// The file that identifies a folder's images.
pub const MANIFEST: &str = "manifest.json";
/// The file of the resolved config.
pub const CONFIG: &str = "config.ron";
/// The folder of a run's shards until they are merged.
pub const SHARDS: &str = "shards";
/// The version of the folder's layout.
pub const FORMAT: u32 = 1;

/// The file of an image in its rule's folder.
pub fn image_name(image: u64) -> String {
    format!("{image:05}.png")
}

/// What a folder's images were made from. Only a run with the same manifest resumes a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the folder's layout.
    pub format: u32,
    /// The program's version and its results number.
    pub version: String,
    /// The hash of everything in the config that images depend on.
    pub config: String,
    /// The fingerprint of the weights.
    pub weights: String,
    /// The kind of device, the CPU's arithmetic, and the type: `cpu, avx512`, `cuda, bf16`.
    pub device: String,
    /// The folders of images, one per variant.
    pub folders: Vec<String>,
    /// Images in each folder.
    pub images: u64,
}

impl Manifest {
    /// The manifest of a folder; `None` if it has none.
    ///
    /// # Errors
    /// Of the kind [`InvalidData`](io::ErrorKind::InvalidData) if another version of this program wrote it;
    /// otherwise the system's.
    pub fn read(folder: &Path) -> io::Result<Option<Self>> {
        let Some(bytes) = bytes(folder)? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// The file's text.
    fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The first difference between two manifests, in words.
    fn difference(&self, other: &Self) -> Option<String> {
        let first = [
            (self.format == other.format, "was written by another version of this program"),
            (self.version == other.version, "was made by another version of this program"),
            (self.weights == other.weights, "was made with other weights"),
            // Told before the device: no remedy for that would help.
            (self.config == other.config, "was made with another config"),
        ];
        first
            .into_iter()
            .find_map(|(same, difference)| (!same).then(|| difference.to_owned()))
            .or_else(|| other_device(&self.device, &other.device))
            .or_else(|| (self != other).then(|| "holds other images".into()))
    }
}

/// Where the images of a run are, and their config: what readers need, from a manifest of any version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Contents {
    /// The hash of everything in the config that images depend on.
    pub config: String,
    /// The folders of images, one per variant.
    pub folders: Vec<String>,
    /// Images in each folder.
    pub images: u64,
}

impl Contents {
    /// Those of a folder; `None` if it has no manifest, or a file of that name from another program.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn read(folder: &Path) -> io::Result<Option<Self>> {
        Ok(bytes(folder)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }
}

/// The bytes of a folder's manifest; `None` if it has none or is not a folder.
fn bytes(folder: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(folder.join(MANIFEST)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_by_both() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), None);
        assert_eq!(Contents::read(folder.path()).unwrap(), None);
        let manifest = Manifest {
            format: FORMAT,
            version: "0".into(),
            config: "c".into(),
            weights: "w".into(),
            device: "cpu".into(),
            folders: vec!["none".into(), "ssg".into()],
            images: 3,
        };
        fs::write(folder.path().join(MANIFEST), manifest.to_text()).unwrap();
        assert_eq!(Manifest::read(folder.path()).unwrap(), Some(manifest.clone()));
        let Contents { config, folders, images } = Contents::read(folder.path()).unwrap().unwrap();
        assert_eq!((config, folders, images), (manifest.config, manifest.folders, manifest.images));
    }

    #[test]
    fn a_manifest_of_another_version_tells_its_contents() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| fs::write(folder.path().join(MANIFEST), text).unwrap();
        write(r#"{"form":9,"config":"c","folders":["images"],"images":3}"#);
        assert_eq!(Manifest::read(folder.path()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(Contents::read(folder.path()).unwrap().unwrap().images, 3);
        write(r#"{"name":"a web page"}"#);
        assert_eq!(Contents::read(folder.path()).unwrap(), None);
        // A file is not a folder with a manifest.
        assert_eq!(Contents::read(&folder.path().join(MANIFEST)).unwrap(), None);
    }

    #[test]
    fn the_text_stays_what_it_was() {
        let manifest = Manifest {
            format: FORMAT,
            version: "0".into(),
            config: "c".into(),
            weights: "w".into(),
            device: "cpu".into(),
            folders: vec!["images".into()],
            images: 3,
        };
        let lines = [
            "{",
            r#"  "format": 1,"#,
            r#"  "version": "0","#,
            r#"  "config": "c","#,
            r#"  "weights": "w","#,
            r#"  "device": "cpu","#,
            r#"  "folders": ["#,
            r#"    "images""#,
            "  ],",
            r#"  "images": 3"#,
            "}\n",
        ];
        assert_eq!(manifest.to_text(), lines.join("\n"));
        assert_eq!(image_name(7), "00007.png");
    }
}
