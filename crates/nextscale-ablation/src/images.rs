//! Images as bytes, and reading them from disk.

use image::RgbImage;
use nextscale_metrics::source::{ContentHash, ImageSource};

use crate::{Error, Result};

/// RGB images of one size, `[count, height, width, 3]`, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// The bytes.
    pub pixels: Vec<u8>,
}

impl Images {
    /// From the bytes of whole images.
    ///
    /// # Errors
    /// If an image has no pixels, or the bytes are not a whole number of images.
    pub fn new(height: usize, width: usize, pixels: Vec<u8>) -> Result<Self> {
        let bytes = height * width * 3;
        if bytes == 0 || !pixels.len().is_multiple_of(bytes) {
            return Err(Error::Usage(format!(
                "{} bytes are not a whole number of {width} × {height} RGB images",
                pixels.len()
            )));
        }
        Ok(Self { height, width, pixels })
    }

    /// From pictures of one size.
    ///
    /// # Errors
    /// If there are none, or their sizes differ.
    pub fn from_pictures(pictures: &[RgbImage]) -> Result<Self> {
        let (width, height) = pictures.first().map_or((0, 0), RgbImage::dimensions);
        if let Some(other) = pictures.iter().find(|picture| picture.dimensions() != (width, height)) {
            return Err(Error::Usage(format!(
                "images of different sizes: {width} × {height} and {} × {}",
                other.width(),
                other.height()
            )));
        }
        let pixels = pictures.iter().flat_map(|picture| picture.as_raw().iter().copied()).collect();
        Self::new(height as usize, width as usize, pixels)
    }

    /// The number of images.
    pub fn count(&self) -> usize {
        self.pixels.len() / (self.height * self.width * 3)
    }

    /// The bytes of each image, `[height, width, 3]`.
    pub fn each(&self) -> impl Iterator<Item = &[u8]> {
        self.pixels.chunks(self.height * self.width * 3)
    }

    /// The first `count` of them.
    pub fn first(mut self, count: usize) -> Self {
        self.pixels.truncate(count * self.height * self.width * 3);
        self
    }

    /// Appends others of the same size.
    ///
    /// # Errors
    /// If the sizes differ.
    pub fn and(mut self, more: &Self) -> Result<Self> {
        if (self.height, self.width) != (more.height, more.width) {
            return Err(Error::Usage("images of different sizes do not go together".into()));
        }
        self.pixels.extend_from_slice(&more.pixels);
        Ok(self)
    }

    /// One of them, separately.
    ///
    /// # Errors
    /// If there is no such image.
    pub fn one(&self, index: usize) -> Result<Self> {
        let bytes = self.each().nth(index).ok_or_else(|| Error::Usage(format!("no image {index}")))?;
        Self::new(self.height, self.width, bytes.to_vec())
    }

    /// One of them as a picture.
    pub fn picture(&self, index: usize) -> Option<RgbImage> {
        let bytes = self.each().nth(index)?.to_vec();
        RgbImage::from_raw(self.width as u32, self.height as u32, bytes)
    }
}

/// Images read at a time.
const BLOCK: usize = 64;

/// Reads a source, some images at a time so that memory does not grow with their number; the source
/// guarantees that all have one size. Returns its name with the beginning of its content's hash.
///
/// # Errors
/// If an image cannot be read or has another size than the first; and the errors of `see`.
pub(crate) fn read(source: &ImageSource, mut see: impl FnMut(Images) -> Result<()>) -> Result<String> {
    let mut hash = ContentHash::new(source.size());
    let mut refused = None;
    let read = source.read(BLOCK, |batch| {
        hash.update(&batch);
        Images::new(batch.height, batch.width, batch.pixels).and_then(&mut see).map_err(|error| {
            let told = nextscale_metrics::Error::Pixels(error.to_string());
            refused = Some(error);
            told
        })
    });
    match (refused, read) {
        (Some(error), _) => return Err(error),
        (None, read) => read?,
    }
    let name = source.path().file_name().unwrap_or(source.path().as_os_str()).to_string_lossy();
    let hash = hash.finish();
    Ok(format!("{name} (sha256 {}…)", hash.get(..16).unwrap_or(&hash)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_by_its_content_and_what_is_wrong_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let save = |name: &str, value: u8| {
            RgbImage::from_pixel(2, 2, image::Rgb([value; 3])).save(folder.path().join(name)).unwrap();
        };
        (0..70).for_each(|i| save(&format!("{i:02}.png"), i));
        let all = || {
            let mut first = Vec::new();
            let name = read(&ImageSource::open(folder.path()).unwrap(), |images| {
                assert!(images.count() <= BLOCK);
                first.extend(images.each().map(|image| image[0]));
                Ok(())
            });
            (name.unwrap(), first)
        };
        let (name, first) = all();
        assert_eq!(first, (0..70).collect::<Vec<u8>>());
        save("00.png", 99);
        assert_ne!(all().0, name);
        let mut blocks = 0;
        let refused = read(&ImageSource::open(folder.path()).unwrap(), |_| {
            blocks += 1;
            Err(Error::Folder("no more".into()))
        });
        assert!(matches!(refused, Err(Error::Folder(_))) && blocks == 1);
        let source = ImageSource::open(folder.path()).unwrap();
        std::fs::write(folder.path().join("69.png"), "x").unwrap();
        assert!(read(&source, |_| Ok(())).unwrap_err().to_string().contains("69.png"));
    }

    #[test]
    fn pictures_are_kept_byte_by_byte() {
        let picture = |v: u8| RgbImage::from_fn(3, 2, |x, y| image::Rgb([v, x as u8, y as u8]));
        let images = Images::from_pictures(&[picture(1), picture(2)]).unwrap();
        assert_eq!((images.count(), images.height, images.width), (2, 2, 3));
        assert_eq!(images.picture(1), Some(picture(2)));
        assert_eq!(images.clone().first(1).and(&images.clone().first(1)).unwrap().count(), 2);
        assert!(Images::from_pictures(&[picture(1), RgbImage::new(2, 2)]).is_err());
        assert!(Images::new(2, 2, vec![0; 13]).is_err() && Images::new(0, 2, vec![]).is_err());
    }
}
