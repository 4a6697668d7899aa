//! Sheets of images, to look at while a run goes on.

use std::path::Path;

use burn::tensor::Tensor;

use crate::checkpoint::write_atomically;
use crate::{Error, Result};

/// Pixels between images.
const GAP: usize = 2;

/// Writes images `[n, 3, h, w]` in [-1, 1] as a PNG with `columns` images a row, each pixel `zoom` × `zoom`.
///
/// # Errors
/// [`Error::Io`] if it cannot be written.
pub fn save_grid(path: &Path, images: Tensor<4>, columns: usize, zoom: usize) -> Result<()> {
    let [count, _, height, width] = images.dims();
    let values: Vec<f32> = images.into_data().iter::<f32>().collect();
    let columns = columns.clamp(1, count.max(1));
    let (cell_width, cell_height) = (width * zoom + GAP, height * zoom + GAP);
    let (sheet_width, sheet_height) = (columns * cell_width - GAP, count.div_ceil(columns) * cell_height - GAP);
    let sheet = image::RgbImage::from_fn(sheet_width as u32, sheet_height as u32, |x, y| {
        let (x, y) = (x as usize, y as usize);
        let (left, top) = (x % cell_width / zoom, y % cell_height / zoom);
        let index = y / cell_height * columns + x / cell_width;
        if left >= width || top >= height || index >= count {
            return image::Rgb([255; 3]);
        }
        image::Rgb([0, 1, 2].map(|channel| {
            let value = values[((index * 3 + channel) * height + top) * width + left];
            ((value + 1.0) / 2.0 * 255.0).clamp(0.0, 255.0) as u8
        }))
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    sheet
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|error| Error::data(path, format!("cannot be encoded: {error}")))?;
    write_atomically(path, &bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn images_lie_row_by_row_with_gaps() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.png");
        let device = Device::flex();
        let images = Tensor::cat(
            [-1.0, 0.0, 2.0].map(|value| Tensor::<4>::ones([1, 3, 4, 4], &device) * value).to_vec(),
            0,
        );
        save_grid(&path, images, 2, 2).unwrap();
        let sheet = image::open(&path).unwrap().into_rgb8();
        assert_eq!(sheet.dimensions(), (18, 18));
        let level = |x, y| sheet.get_pixel(x, y)[0];
        assert_eq!((level(0, 0), level(8, 0), level(10, 7), level(0, 10), level(12, 12)), (0, 255, 127, 255, 255));
    }
}
