//! Images as pictures in host memory, and one picture of many.

mod font;
mod grid;

pub use grid::LabelledGrid;

use burn::tensor::{Device, Tensor, TensorData};
use image::RgbImage;
use nextscale_core::{Error, Result};
use nextscale_kernels::device::{self, Rounded};
use serde::{Deserialize, Serialize};

use crate::{floats, transfer};

/// How a colour in [0, 1] becomes a byte. Published numbers depend on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rounding {
    /// floor(255·x), as upstream writes images.
    #[default]
    Floor,
    /// floor(255·x + 1/2), as torchvision's `save_image` does.
    Nearest,
}

/// The pictures of `[batch, 3, H, W]` in [0, 1], with values floor(255·x) as upstream writes them.
///
/// # Errors
/// As [`to_pictures_rounded`].
pub fn to_pictures(images: Tensor<4>) -> Result<Vec<RgbImage>> {
    to_pictures_rounded(images, Rounding::Floor)
}

/// As [`to_pictures`], with bytes rounded in this way.
///
/// # Errors
/// [`Error::Overflow`] with the place in the batch of the first image that is not finite, which would be black;
/// or if the device cannot return the values.
pub fn to_pictures_rounded(images: Tensor<4>, rounding: Rounding) -> Result<Vec<RgbImage>> {
    let half = match rounding {
        Rounding::Floor => 0.0,
        Rounding::Nearest => 0.5,
    };
    let [_, _, height, width] = images.dims();
    if let Some(rounded) = device::bytes(&images, half) {
        return rounded_there(&rounded, [width as u32, height as u32]);
    }
    let values = floats(images)?;
    let plane = height * width;
    let mut images = values.chunks(3 * plane);
    if let Some(image) = images.position(|values| values.iter().any(|value| !value.is_finite())) {
        return Err(Error::overflow("decoder", image));
    }
    let picture = |values: &[f32]| {
        RgbImage::from_fn(width as u32, height as u32, |x, y| {
            let at = y as usize * width + x as usize;
            image::Rgb([0, 1, 2].map(|channel| (255.0 * values[channel * plane + at] + half) as u8))
        })
    };
    Ok(values.chunks(3 * plane).map(picture).collect())
}

/// Pictures whose bytes a device has computed.
fn rounded_there(rounded: &Rounded, [width, height]: [u32; 2]) -> Result<Vec<RgbImage>> {
    let bytes = transfer::bytes(rounded.packed())?;
    let picture = |(image, bytes): (usize, Option<&[u8]>)| {
        let bytes = bytes.ok_or_else(|| Error::overflow("decoder", image))?.to_vec();
        RgbImage::from_raw(width, height, bytes)
            .ok_or_else(|| Error::Unsupported("the device gave another number of bytes back".into()))
    };
    rounded.images(&bytes).enumerate().map(picture).collect()
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
    fn a_picture_that_is_not_finite_is_an_error_with_its_place() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [12, 17, 23] {
                let mut values = vec![0.5_f32; 24];
                values[at] = value;
                let images = Tensor::<4>::from_data(TensorData::new(values, [2, 3, 2, 2]), &Device::flex());
                assert_eq!(to_pictures(images).unwrap_err(), Error::overflow("decoder", 1));
            }
        }
    }

    #[test]
    fn the_nearest_byte_is_another_where_the_rest_is_above_a_half() {
        let values: Vec<f32> = vec![0.0, 1.0, 0.5, 0.999, 0.2, 0.25, 0.3, 0.35, 0.001, 0.004, 0.6, 0.7];
        let images = Tensor::<4>::from_data(TensorData::new(values, [1, 3, 2, 2]), &Device::flex());
        let picture = &to_pictures_rounded(images, Rounding::Nearest).unwrap()[0];
        assert_eq!(picture.get_pixel(0, 0).0, [0, 51, 0]);
        assert_eq!(picture.get_pixel(1, 0).0, [255, 64, 1]);
        assert_eq!(picture.get_pixel(0, 1).0, [128, 77, 153]);
        assert_eq!(picture.get_pixel(1, 1).0, [255, 89, 179]);
    }
}
