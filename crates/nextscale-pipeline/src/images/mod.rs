//! Images in and out: PNG, labelled grids, npz.

mod font;
mod grid;
mod npz;

pub use grid::LabelledGrid;
pub use npz::write_npz;

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use image::{ImageFormat, RgbImage};
use nextscale_files::write_atomically;

use crate::{Error, Result};
use nextscale_generate::floats;

/// The pictures of `[batch, 3, H, W]` in [0, 1], each value floor(255·x) as upstream writes them.
///
/// # Errors
/// If the device cannot give the values back.
pub fn to_pictures(images: Tensor<4>) -> Result<Vec<RgbImage>> {
    let [_, _, height, width] = images.dims();
    let values = floats(images)?;
    let plane = height * width;
    let picture = |values: &[f32]| {
        RgbImage::from_fn(width as u32, height as u32, |x, y| {
            let at = y as usize * width + x as usize;
            image::Rgb([0, 1, 2].map(|channel| (255.0 * values[channel * plane + at]) as u8))
        })
    };
    Ok(values.chunks(3 * plane).map(picture).collect())
}

/// Pictures of one size as `[batch, 3, H, W]` in [0, 1].
pub fn to_tensor(pictures: &[RgbImage], device: &Device) -> Tensor<4> {
    let (width, height) = pictures.first().map_or((0, 0), RgbImage::dimensions);
    let mut values = Vec::with_capacity(pictures.len() * 3 * (width * height) as usize);
    for picture in pictures {
        for channel in 0..3 {
            values.extend(picture.pixels().map(|pixel| f32::from(pixel[channel]) / 255.0));
        }
    }
    Tensor::from_data(TensorData::new(values, [pictures.len(), 3, height as usize, width as usize]), device)
}

/// Reads a PNG or JPEG.
///
/// # Errors
/// If the file is missing or no image.
pub fn read(path: &Path) -> Result<RgbImage> {
    let failed = |message: String| Error::Image { action: "read", path: path.into(), message };
    let reader = image::ImageReader::open(path).map_err(Error::io("read", path))?;
    let reader = reader.with_guessed_format().map_err(Error::io("read", path))?;
    Ok(reader.decode().map_err(|error| failed(error.to_string()))?.to_rgb8())
}

/// Writes a PNG; it appears whole or not at all.
///
/// # Errors
/// If it cannot be written.
pub fn write_png(path: &Path, picture: &RgbImage) -> Result<()> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).map_err(|error| Error::Image {
        action: "write",
        path: path.into(),
        message: error.to_string(),
    })?;
    write_atomically(path, bytes.get_ref()).map_err(Error::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_truncated_and_stay_in_their_channels() {
        let values: Vec<f32> = vec![0.0, 1.0, 0.5, 0.999, 0.2, 0.25, 0.3, 0.35, 0.001, 0.004, 0.6, 0.7];
        let images = Tensor::<4>::from_data(TensorData::new(values, [1, 3, 2, 2]), &Device::flex());
        let picture = &to_pictures(images).unwrap()[0];
        assert_eq!(picture.get_pixel(0, 0).0, [0, 51, 0]);
        assert_eq!(picture.get_pixel(1, 0).0, [255, 63, 1]);
        assert_eq!(picture.get_pixel(0, 1).0, [127, 76, 153]);
        assert_eq!(picture.get_pixel(1, 1).0, [254, 89, 178]);
    }

    #[test]
    fn a_png_is_read_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let picture = RgbImage::from_fn(5, 3, |x, y| image::Rgb([x as u8 * 40, y as u8 * 80, 7]));
        write_png(&path, &picture).unwrap();
        assert_eq!(read(&path).unwrap(), picture);
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
