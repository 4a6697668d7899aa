use crate::{Error, Result};

/// uint8 RGB images of one size, `[count, height, width, 3]`, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageBatch {
    /// The number of images.
    pub count: usize,
    /// Rows per image.
    pub height: usize,
    /// Columns per image.
    pub width: usize,
    /// The pixels.
    pub pixels: Vec<u8>,
}

impl ImageBatch {
    /// A batch of as many images as the pixels hold.
    ///
    /// # Errors
    /// [`Error::Pixels`] if an extent is 0 or the pixels do not divide into whole images.
    pub fn new(height: usize, width: usize, pixels: Vec<u8>) -> Result<Self> {
        let image = height.checked_mul(width).and_then(|plane| plane.checked_mul(3));
        match image {
            None | Some(0) => Err(Error::Pixels(format!("images of {height}×{width} pixels have no pixels"))),
            Some(image) if !pixels.len().is_multiple_of(image) => Err(Error::Pixels(format!(
                "{} bytes are not a whole number of RGB images of {height}×{width} pixels ({image} bytes each)",
                pixels.len()
            ))),
            Some(image) => Ok(Self { count: pixels.len() / image, height, width, pixels }),
        }
    }

    /// The pixels of image `index`, `[height, width, 3]`.
    ///
    /// # Panics
    /// If the index is out of range.
    pub fn image(&self, index: usize) -> &[u8] {
        let image = self.height * self.width * 3;
        &self.pixels[index * image..][..image]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_must_be_whole_images() {
        let batch = ImageBatch::new(2, 3, (0..36).collect()).unwrap();
        assert_eq!((batch.count, batch.image(1)[0]), (2, 18));
        assert_eq!(ImageBatch::new(2, 3, vec![]).unwrap().count, 0);
        for (height, width, bytes) in [(2, 3, 37), (0, 3, 0), (usize::MAX, 2, 12)] {
            let error = ImageBatch::new(height, width, vec![0; bytes]).unwrap_err().to_string();
            assert!(error.contains(&format!("{height}×{width}")), "{error}");
        }
    }
}
