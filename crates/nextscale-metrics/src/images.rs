use crate::{Error, Result};

/// 8-bit RGB images of one size, `[count, height, width, 3]`, row-major.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageBatch {
    /// How many there are.
    pub count: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// The values, `[count, height, width, 3]`.
    pub pixels: Vec<u8>,
}

impl ImageBatch {
    /// Images of one size.
    ///
    /// # Errors
    /// [`Error::Pixels`] if a side is zero or the pixels are no whole number of images.
    pub fn new(height: usize, width: usize, pixels: Vec<u8>) -> Result<Self> {
        let image = height.checked_mul(width).and_then(|area| area.checked_mul(3)).filter(|&size| size > 0);
        let Some(image) = image else {
            return Err(Error::Pixels(format!("images of {width}×{height} pixels cannot be measured")));
        };
        if pixels.len() % image != 0 {
            let bytes = pixels.len();
            return Err(Error::Pixels(format!(
                "{bytes} bytes are no whole number of {width}×{height} images"
            )));
        }
        Ok(Self { count: pixels.len() / image, height, width, pixels })
    }
}
