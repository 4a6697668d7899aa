//! The rows of a PNG file, without the whole picture in memory.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use png::{BitDepth, ColorType, Decoder, Reader};

use crate::{Error, Result};

/// An RGB picture that is decoded from the top down.
pub(super) struct PngRows {
    path: PathBuf,
    reader: Reader<BufReader<File>>,
    /// The row that is decoded next.
    next: usize,
}

impl PngRows {
    /// Opens `path` and reads its header.
    ///
    /// # Errors
    /// [`Error::Data`] if it is no PNG, or not of RGB with 8 bits a channel, or interlaced.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        let reader = Decoder::new(BufReader::new(file))
            .read_info()
            .map_err(|error| Error::data(path, error.to_string()))?;
        let info = reader.info();
        if (info.color_type, info.bit_depth, info.interlaced) != (ColorType::Rgb, BitDepth::Eight, false) {
            let problem =
                "expected a PNG of RGB with 8 bits a channel that is not interlaced; save it as one";
            return Err(Error::data(path, problem));
        }
        Ok(Self { path: path.into(), reader, next: 0 })
    }

    /// Rows and columns.
    pub fn size(&self) -> (usize, usize) {
        let info = self.reader.info();
        (info.height as usize, info.width as usize)
    }

    /// The bytes of a row, `[columns, 3]`; rows above the last one that was read are decoded from the top.
    ///
    /// # Errors
    /// [`Error::Data`] if the picture ends above it or is damaged.
    pub fn row(&mut self, row: usize) -> Result<&[u8]> {
        if row < self.next {
            *self = Self::open(&self.path)?;
        }
        let damaged = |error: png::DecodingError| Error::data(&self.path, error.to_string());
        while self.next < row {
            self.reader.next_row().map_err(damaged)?;
            self.next += 1;
        }
        self.next += 1;
        match self.reader.next_row().map_err(damaged)? {
            Some(row) => Ok(row.data()),
            None => Err(Error::data(&self.path, format!("has no row {row}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_those_of_the_picture_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let picture = image::RgbImage::from_fn(5, 90, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8]));
        picture.save(&path).unwrap();
        let mut rows = PngRows::open(&path).unwrap();
        assert_eq!(rows.size(), (90, 5));
        for row in [0, 1, 40, 89, 3, 3] {
            assert_eq!(rows.row(row).unwrap(), &picture.as_raw()[row * 15..][..15], "{row}");
        }
        assert!(rows.row(90).unwrap_err().to_string().contains("has no row 90"));
        assert_eq!(rows.row(7).unwrap(), &picture.as_raw()[7 * 15..][..15]);
    }

    #[test]
    fn what_is_no_such_picture_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        image::GrayImage::new(4, 4).save(&path).unwrap();
        let error = PngRows::open(&path).err().unwrap().to_string();
        assert!(error.contains("a.png") && error.contains("RGB with 8 bits"), "{error}");
        let noise = |x: u32, y: u32| (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).to_le_bytes();
        let picture = image::RgbImage::from_fn(64, 64, |x, y| {
            let [a, b, c, _] = noise(x, y);
            image::Rgb([a, b, c])
        });
        picture.save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let mut rows = PngRows::open(&path).unwrap();
        let error = (0..64).find_map(|row| rows.row(row).err()).unwrap().to_string();
        assert!(error.contains("a.png"), "{error}");
        std::fs::write(&path, "text").unwrap();
        assert!(PngRows::open(&path).err().unwrap().to_string().contains("a.png"));
    }
}
