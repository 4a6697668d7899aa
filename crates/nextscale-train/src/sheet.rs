//! Sheets of images, to look at during a run.

use std::path::Path;

use burn::tensor::Tensor;
use nextscale_files::write_atomically;
use nextscale_generate::pictures::{LabelledGrid, to_pictures};

use crate::{Error, Result};

/// Writes images `[n, 3, h, w]`, clamped to [0, 1], as a PNG with `columns` images per row.
///
/// # Errors
/// [`Error::Io`] if it cannot be written.
pub fn write_sheet(path: &Path, images: Tensor<4>, columns: usize) -> Result<()> {
    let pictures = to_pictures(images.clamp(0.0, 1.0))?;
    let cells = pictures.chunks(columns.max(1)).map(<[_]>::to_vec).collect();
    let sheet = LabelledGrid { cells, ..LabelledGrid::default() }.draw();
    let mut bytes = std::io::Cursor::new(Vec::new());
    sheet
        .write_to(&mut bytes, image::ImageFormat::Png)
        .map_err(|error| Error::data(path, format!("cannot be encoded: {error}")))?;
    write_atomically(path, &bytes.into_inner()).map_err(Error::io(path))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn images_lie_row_by_row_and_values_outside_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet.png");
        let device = Device::flex();
        let images = [-1.0, 0.5, 2.0].map(|value| Tensor::<4>::ones([1, 3, 64, 64], &device) * value);
        write_sheet(&path, Tensor::cat(images.to_vec(), 0), 2).unwrap();
        let sheet = image::open(&path).unwrap().into_rgb8();
        assert_eq!(sheet.dimensions(), (2 * 68 + 4, 2 * 68 + 4));
        let level = |column: u32, row: u32| sheet.get_pixel(36 + 68 * column, 36 + 68 * row)[0];
        assert_eq!([level(0, 0), level(1, 0), level(0, 1), level(1, 1)], [0, 127, 255, 255]);
    }
}
