//! Images in and out: PNG, labelled grids, npz.

mod npz;

pub use nextscale_generate::pictures::{LabelledGrid, Rounding, to_pictures, to_pictures_rounded, to_tensor};
pub use npz::write_npz;

use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};
use nextscale_files::{ImageFileError, sync_folder_of, write_atomically, write_one_of_many};
use rayon::prelude::*;

use crate::{Error, Result};

/// Reads a PNG, JPEG, WebP, BMP or TIFF.
///
/// # Errors
/// If the file is missing, not an image, or ends early.
pub fn read(path: &Path) -> Result<RgbImage> {
    nextscale_files::read_image(path).map_err(|error| match error {
        ImageFileError::Io { path, source } => Error::io("read", path)(source),
        ImageFileError::Content { path, problem } => Error::Image { action: "read", path, message: problem },
        other => Error::Image { action: "read", path: path.into(), message: other.to_string() },
    })
}

/// Writes a PNG, which appears completely or not at all.
///
/// # Errors
/// If it cannot be written.
pub fn write_png(path: &Path, picture: &RgbImage) -> Result<()> {
    write_atomically(path, &png(path, picture)?).map_err(Error::io("write", path))
}

/// Writes pictures as PNGs into one folder, each of which appears completely or not at all, on all threads; `done` is
/// called after each. The folder is flushed once, after the last: until then a power cut may take whole pictures away.
///
/// # Errors
/// If one cannot be written.
pub fn write_pngs(pictures: &[(PathBuf, &RgbImage)], done: impl Fn() + Sync) -> Result<()> {
    pictures.par_iter().try_for_each(|(path, picture)| {
        write_one_of_many(path, &png(path, picture)?).map_err(Error::io("write", path))?;
        done();
        Ok::<_, Error>(())
    })?;
    if let Some((path, _)) = pictures.first() {
        sync_folder_of(path);
    }
    Ok(())
}

/// A picture's PNG for the file `path`.
fn png(path: &Path, picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).map_err(|error| Error::Image {
        action: "write",
        path: path.into(),
        message: error.to_string(),
    })?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_png_is_read_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let picture = RgbImage::from_fn(5, 3, |x, y| image::Rgb([x as u8 * 40, y as u8 * 80, 7]));
        write_png(&path, &picture).unwrap();
        assert_eq!(read(&path).unwrap(), picture);
        let places = ["b.png", "c.png"].map(|name| (folder.path().join(name), &picture));
        let count = std::sync::atomic::AtomicUsize::new(0);
        write_pngs(&places, || {
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        })
        .unwrap();
        assert_eq!(count.into_inner(), 2);
        let bytes = |path: &Path| std::fs::read(path).unwrap();
        assert!(places.iter().all(|(other, _)| bytes(other) == bytes(&path)));
        let nowhere = [(folder.path().join("none/d.png"), &picture)];
        assert!(write_pngs(&nowhere, || ()).unwrap_err().to_string().contains("d.png"));
        let tensor = to_tensor(std::slice::from_ref(&picture), &Device::flex());
        assert_eq!(tensor.dims(), [1, 3, 3, 5]);
        assert_eq!(to_pictures(tensor).unwrap()[0], picture);
    }

    #[test]
    fn what_is_no_image_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        std::fs::write(&path, b"not a png").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("a.png"));
        assert!(read(&folder.path().join("none.png")).unwrap_err().to_string().contains("none.png"));
    }
}
