//! Real images on disk.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::images::Images;
use crate::{Error, Result};

/// Images read at once.
const BLOCK: usize = 64;

/// A folder of PNG or JPEG files, or of folders of them, in the order of their names.
#[derive(Debug, Clone)]
pub struct Source {
    root: PathBuf,
    files: Vec<PathBuf>,
}

impl Source {
    /// Lists the files; reads none.
    ///
    /// # Errors
    /// If the folder cannot be read or holds no image.
    pub fn open(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for path in entries(root)? {
            if path.is_dir() {
                files.extend(entries(&path)?.into_iter().filter(|path| is_image(path)));
            } else if is_image(&path) {
                files.push(path);
            }
        }
        if files.is_empty() {
            return Err(Error::Usage(format!(
                "{} holds no PNG or JPEG; give a folder of images, or of one folder a class",
                root.display()
            )));
        }
        Ok(Self { root: root.into(), files })
    }

    /// The files.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The folder's name and the beginning of a hash over all its files' bytes.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn name(&self) -> Result<String> {
        let mut hash = Sha256::new();
        for file in &self.files {
            let bytes = std::fs::read(file).map_err(Error::io("read", file))?;
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(&bytes);
        }
        let hash: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let name = self.root.file_name().unwrap_or_default().to_string_lossy();
        Ok(format!("{name} (sha256 {hash}…)"))
    }

    /// The images, some at a time, so that memory does not grow with their number.
    pub fn blocks(&self) -> impl Iterator<Item = Result<Images>> + '_ {
        self.files.chunks(BLOCK).map(|files| {
            let pictures: Vec<_> = files
                .iter()
                .map(|file| nextscale_pipeline::images::read(file))
                .collect::<nextscale_pipeline::Result<_>>()?;
            Images::from_pictures(&pictures)
                .map_err(|error| Error::Usage(format!("{}: {error}", self.root.display())))
        })
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = std::fs::read_dir(folder).map_err(Error::io("read", folder))?;
    let mut paths: Vec<PathBuf> = list
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()
        .map_err(Error::io("read", folder))?;
    paths.sort();
    Ok(paths)
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    ["png", "jpg", "jpeg"].contains(&extension.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::RgbImage;

    #[test]
    fn files_come_in_order_of_their_names_and_content_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for (name, value) in [("b/x.png", 2), ("a.png", 1), ("c.PNG", 3)] {
            RgbImage::from_pixel(2, 2, image::Rgb([value; 3]))
                .save_with_format(folder.path().join(name), image::ImageFormat::Png)
                .unwrap();
        }
        std::fs::write(folder.path().join("notes.txt"), "x").unwrap();
        let source = Source::open(folder.path()).unwrap();
        let blocks: Vec<Images> = source.blocks().collect::<Result<_>>().unwrap();
        let first: Vec<u8> = blocks[0].each().map(|image| image[0]).collect();
        assert_eq!(first, [1, 2, 3]);
        let name = source.name().unwrap();
        RgbImage::from_pixel(2, 2, image::Rgb([9; 3])).save(folder.path().join("a.png")).unwrap();
        assert_ne!(source.name().unwrap(), name);
    }

    #[test]
    fn an_empty_folder_or_a_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Source::open(folder.path()).unwrap_err().to_string().contains("holds no PNG"));
        std::fs::write(folder.path().join("bad.png"), "x").unwrap();
        let error = Source::open(folder.path()).unwrap().blocks().next().unwrap().unwrap_err().to_string();
        assert!(error.contains("bad.png"), "{error}");
        assert!(Source::open(&folder.path().join("none")).is_err());
    }
}
