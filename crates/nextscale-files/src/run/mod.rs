//! The form of a run's folder, for those who write one and those who read one.
//!
//! A run folder holds [`MANIFEST`], which says what its images are of; [`CONFIG`], the resolved config; a folder of
//! numbered images for every rule; and what is made of the images: `grid.png`, `.npz` files.

mod folder;
mod place;

pub use folder::{Opened, RunError, RunFolder};

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The file that says what a folder's images are of.
pub const MANIFEST: &str = "manifest.json";
/// The file of the resolved config.
pub const CONFIG: &str = "config.ron";
/// The version of the folder's form.
pub const FORMAT: u32 = 1;

/// The file of an image in its rule's folder.
pub fn image_name(image: u64) -> String {
    format!("{image:05}.png")
}

/// What the images of a folder are of. Only a run with the same manifest resumes a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the folder's form.
    pub format: u32,
    /// The program and the number of its results.
    pub version: String,
    /// The hash of everything in the config that images depend on.
    pub config: String,
    /// What identifies the weights.
    pub weights: String,
    /// The kind of device.
    pub device: String,
    /// The folders of images, one a variant.
    pub folders: Vec<String>,
    /// Images in each folder.
    pub images: u64,
}

impl Manifest {
    /// That of a folder; `None` if it has none.
    ///
    /// # Errors
    /// Of the kind [`InvalidData`](io::ErrorKind::InvalidData) if another version of this program wrote it; else the
    /// system's, if it cannot be read.
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

    /// The first thing in which two manifests differ, in words.
    fn difference(&self, other: &Self) -> Option<&'static str> {
        [
            (self.format == other.format, "was written by another version of this program"),
            (self.version == other.version, "was made by another version of this program"),
            (self.weights == other.weights, "was made with other weights"),
            (self.device == other.device, "was made on another kind of device, or in another type"),
            (self.config == other.config, "was made with another config"),
            (self == other, "is of other images"),
        ]
        .into_iter()
        .find_map(|(same, difference)| (!same).then_some(difference))
    }
}

/// Where the images of a run are, and of which config: what a reader needs, of a manifest of any version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Contents {
    /// The hash of everything in the config that images depend on.
    pub config: String,
    /// The folders of images, one a variant.
    pub folders: Vec<String>,
    /// Images in each folder.
    pub images: u64,
}

impl Contents {
    /// Those of a folder; `None` if it has no manifest, or a file of that name which another program wrote.
    ///
    /// # Errors
    /// If the manifest cannot be read.
    pub fn read(folder: &Path) -> io::Result<Option<Self>> {
        Ok(bytes(folder)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }
}

/// The bytes of a folder's manifest; `None` if it has none, or is no folder.
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
        // A file is no folder with a manifest in it.
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
