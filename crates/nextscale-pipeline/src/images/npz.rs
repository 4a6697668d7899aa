use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use npyz::WriterBuilder;

use crate::{Error, Result};
use nextscale_files::Partial;
use zip::result::ZipError;
use zip::write::FileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Larger entries need the archive's 64-bit format.
const LARGE: u64 = u32::MAX as u64 - (1 << 16);

/// Writes pictures in the format of the OpenAI evaluator: an npz with the array `arr_0`, uint8 `[images, H,
/// W, 3]`, and, if there are labels, `arr_1`, int64 `[images]`. `picture(i)` is called for one image after
/// the other, so that only one is in memory.
///
/// # Errors
/// If an image is unavailable or has another size, or the file cannot be written.
pub fn write_npz(
    path: &Path,
    images: usize,
    (height, width): (usize, usize),
    labels: Option<&[i64]>,
    mut picture: impl FnMut(usize) -> Result<image::RgbImage>,
) -> Result<()> {
    let partial = Partial::new(path).map_err(Error::io("write", path))?;
    let file = File::create(partial.path()).map_err(Error::io("write", path))?;
    let mut archive = ZipWriter::new(BufWriter::new(file));
    let shape = [images, height, width, 3].map(|n| n as u64);
    // No compression and no timestamps: the same images give the same bytes.
    let options = FileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .large_file(shape.iter().product::<u64>() >= LARGE);
    let failed = |error: ZipError| Error::io("write", path)(error.into());
    archive.start_file(npyz::npz::file_name_from_array_name("arr_0"), options).map_err(failed)?;
    let mut array = npyz::WriteOptions::new()
        .default_dtype()
        .shape(&shape)
        .writer(&mut archive)
        .begin_nd()
        .map_err(Error::io("write", path))?;
    for index in 0..images {
        let picture = picture(index)?;
        if picture.dimensions() != (width as u32, height as u32) {
            return Err(Error::Image {
                action: "write",
                path: path.into(),
                message: format!("image {index} is {:?}, expected {width} × {height}", picture.dimensions()),
            });
        }
        array.extend(picture.into_raw()).map_err(Error::io("write", path))?;
    }
    array.finish().map_err(Error::io("write", path))?;
    if let Some(labels) = labels {
        archive.start_file(npyz::npz::file_name_from_array_name("arr_1"), options).map_err(failed)?;
        let mut array = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&[labels.len() as u64])
            .writer(&mut archive)
            .begin_nd()
            .map_err(Error::io("write", path))?;
        array
            .extend(labels.iter().copied())
            .and_then(|()| array.finish())
            .map_err(Error::io("write", path))?;
    }
    let mut file = archive.finish().map_err(failed)?;
    file.flush().and_then(|()| partial.keep()).map_err(Error::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};

    #[test]
    fn the_array_is_nhwc_bytes_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images.npz");
        let picture = |i: usize| RgbImage::from_fn(3, 2, |x, y| Rgb([i as u8, x as u8, y as u8]));
        write_npz(&path, 2, (2, 3), Some(&[7, 300]), |i| Ok(picture(i))).unwrap();
        let mut archive = npyz::npz::NpzArchive::open(&path).unwrap();
        let array = archive.by_name("arr_0").unwrap().unwrap();
        assert_eq!(array.shape(), [2, 2, 3, 3]);
        let values: Vec<u8> = array.into_vec().unwrap();
        assert_eq!(values, [picture(0).into_raw(), picture(1).into_raw()].concat());
        let labels: Vec<i64> = archive.by_name("arr_1").unwrap().unwrap().into_vec().unwrap();
        assert_eq!(labels, [7, 300]);
        let entry =
            zip::ZipArchive::new(File::open(&path).unwrap()).unwrap().by_index(0).unwrap().last_modified();
        assert_eq!((entry.year(), entry.hour(), entry.second()), (1980, 0, 0), "the clock is in the file");
    }

    #[test]
    fn a_failure_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images.npz");
        write_npz(&path, 1, (2, 3), None, |_| Ok(RgbImage::new(4, 4))).unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
