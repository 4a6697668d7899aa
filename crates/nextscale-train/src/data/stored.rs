//! Labelled images in the files of a data set, which are read a few at a time.

use std::fmt::{Debug, Formatter};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nextscale_core::memory;
use nextscale_files::LeftOut;

use super::{Dataset, Images};
use crate::{Error, Result};

/// Bytes that are read at a time when all images are.
const CHUNK: usize = 32 << 20;

/// A training and a test split on disk, with the names of the classes.
#[derive(Debug)]
pub struct StoredDataset {
    /// The training images.
    pub train: StoredImages,
    /// The held-out images.
    pub test: StoredImages,
    /// The name of every class, by label.
    pub classes: Vec<String>,
}

impl StoredDataset {
    /// Reads everything into memory.
    ///
    /// # Errors
    /// As [`StoredImages::load`].
    pub fn load(self) -> Result<Dataset> {
        let (train, test) = (self.train.load()?, self.test.load()?);
        Ok(Dataset { train, test, classes: self.classes })
    }
}

/// Square RGB images with labels, one byte per channel. Only labels, or the names of files, are in memory.
pub struct StoredImages {
    root: PathBuf,
    size: usize,
    labels: Vec<u16>,
    left_out: LeftOut,
    jpegs: u64,
    records: Mutex<Box<dyn Records>>,
}

/// The pixels of images in files.
pub(super) trait Records: Send {
    /// Appends the pixels of some images to `planes`, `[images, 3, size, size]`. Reading in order is fast; going
    /// back may read a file from its start.
    fn read(&mut self, images: Range<usize>, planes: &mut Vec<u8>) -> Result<()>;
}

impl Debug for StoredImages {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let mut fields = f.debug_struct("StoredImages");
        fields.field("root", &self.root).field("images", &self.len()).finish_non_exhaustive()
    }
}

impl StoredImages {
    /// The images with these labels; `root` is where they are.
    ///
    /// # Errors
    /// [`Error::Data`] if there are none.
    pub(super) fn new(
        root: &Path,
        size: usize,
        labels: Vec<u16>,
        records: impl Records + 'static,
    ) -> Result<Self> {
        if labels.is_empty() {
            return Err(Error::data(root, "holds no images"));
        }
        let (left_out, jpegs) = (LeftOut::new(), 0);
        Ok(Self { root: root.into(), size, labels, left_out, jpegs, records: Mutex::new(Box::new(records)) })
    }

    /// The same images with what lies beside their files.
    pub(super) fn beside(self, left_out: LeftOut) -> Self {
        Self { left_out, ..self }
    }

    /// The same images, of which this many are JPEG files that are not decoded as libjpeg-turbo does.
    pub(super) fn of_jpegs(self, jpegs: u64) -> Self {
        Self { jpegs, ..self }
    }

    /// Height and width in pixels.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The class of every image.
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// What lies beside the files that they are read from and is not an image, by kind.
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// How many are JPEG files that are not decoded as libjpeg-turbo does.
    pub fn jpegs(&self) -> u64 {
        self.jpegs
    }

    /// The first `count` images of every class, by index, in their order.
    pub fn first_of_each(&self, count: usize) -> Vec<usize> {
        let mut seen = vec![0; 1 << u16::BITS];
        let mut few = |&label: &u16| {
            seen[usize::from(label)] += 1;
            seen[usize::from(label)] <= count
        };
        (0..self.len()).filter(|&index| few(&self.labels[index])).collect()
    }

    /// The bytes of some images in the order of image files, `[images, size, size, 3]`.
    ///
    /// # Errors
    /// [`Error::Data`], [`Error::Io`] or [`Error::Image`], naming the file, if one cannot be read; `Error::Data` if
    /// there are not that many images; [`Error::Setting`] if memory cannot hold them.
    pub fn read(&self, images: Range<usize>) -> Result<Vec<u8>> {
        let planes = self.planes(images)?;
        let plane = self.size * self.size;
        let mut pixels = Vec::with_capacity(planes.len());
        for image in planes.chunks_exact(3 * plane) {
            let (red, rest) = image.split_at(plane);
            let (green, blue) = rest.split_at(plane);
            for ((&r, &g), &b) in red.iter().zip(green).zip(blue) {
                pixels.extend([r, g, b]);
            }
        }
        Ok(pixels)
    }

    /// As [`read`](Self::read), of images by index, which is fastest if indices ascend.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_some(&self, picks: &[usize]) -> Result<Vec<u8>> {
        let mut pixels = Vec::with_capacity(picks.len().saturating_mul(3 * self.size * self.size));
        for run in picks.chunk_by(|&a, &b| a + 1 == b) {
            pixels.extend(self.read(run[0]..run[run.len() - 1] + 1)?);
        }
        Ok(pixels)
    }

    /// Reads all images into memory.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn load(&self) -> Result<Images> {
        let image = 3 * self.size * self.size;
        self.check_memory(self.len())?;
        let mut pixels = Vec::with_capacity(image * self.len());
        let (step, all) = ((CHUNK / image).max(1), self.len());
        for first in (0..all).step_by(step) {
            self.append(first..all.min(first + step), &mut pixels)?;
        }
        Images::new(&self.root, self.size, pixels, self.labels.clone())
    }

    /// The bytes of some images, `[images, 3, size, size]`.
    fn planes(&self, images: Range<usize>) -> Result<Vec<u8>> {
        if images.end > self.len() {
            let problem = format!("holds {} images and no image {}", self.len(), images.end - 1);
            return Err(Error::data(&self.root, problem));
        }
        self.check_memory(images.len())?;
        let mut planes = Vec::with_capacity(images.len() * 3 * self.size * self.size);
        self.append(images, &mut planes)?;
        Ok(planes)
    }

    fn append(&self, images: Range<usize>, planes: &mut Vec<u8>) -> Result<()> {
        // After a panic while reading, a reader's position may be wrong, and never its pixels.
        self.records.lock().unwrap_or_else(PoisonError::into_inner).read(images, planes)
    }

    fn check_memory(&self, images: usize) -> Result<()> {
        let size = self.size;
        let bytes = (images as u128).saturating_mul(3 * (size as u128) * (size as u128));
        Ok(memory::check("size", &format!("{images} images of {size}×{size} pixels"), bytes)?)
    }
}

/// The images of several files, one after the other, each with their number.
pub(super) struct Chain<R>(pub Vec<(usize, R)>);

impl<R: Records> Records for Chain<R> {
    fn read(&mut self, images: Range<usize>, planes: &mut Vec<u8>) -> Result<()> {
        let mut first = 0;
        for (count, records) in &mut self.0 {
            let (start, end) = (images.start.max(first), images.end.min(first + *count));
            if start < end {
                records.read(start - first..end - first, planes)?;
            }
            first += *count;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images of 2 × 2 pixels whose bytes count up from their index times twelve.
    struct Counting;

    impl Records for Counting {
        fn read(&mut self, images: Range<usize>, planes: &mut Vec<u8>) -> Result<()> {
            planes.extend((images.start * 12..images.end * 12).map(|byte| byte as u8));
            Ok(())
        }
    }

    fn stored() -> StoredImages {
        let chain = Chain(vec![(2, Counting), (3, Counting)]);
        StoredImages::new(Path::new("x"), 2, vec![1, 1, 0, 1, 0], chain).unwrap()
    }

    #[test]
    fn the_first_of_each_class_come_in_their_order() {
        let images = stored();
        assert_eq!(images.first_of_each(1), [0, 2]);
        assert_eq!(images.first_of_each(2), [0, 1, 2, 4]);
        assert_eq!(images.first_of_each(9), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn images_are_read_over_the_ends_of_files_and_planes_become_pixels() {
        let images = stored();
        assert_eq!(images.read(1..2).unwrap(), [12, 16, 20, 13, 17, 21, 14, 18, 22, 15, 19, 23]);
        let all = images.read(0..5).unwrap();
        // The second file starts over.
        assert_eq!(all[..24], all[24..48]);
        assert_eq!(images.read_some(&[4, 0, 1]).unwrap(), [&all[48..], &all[..24]].concat());
        assert!(images.read(5..5).unwrap().is_empty());
        assert!(images.read(4..6).unwrap_err().to_string().contains("no image 5"));
    }

    #[test]
    fn everything_can_be_loaded() {
        let images = stored().load().unwrap();
        assert_eq!((images.len(), images.labels.as_slice()), (5, &[1, 1, 0, 1, 0][..]));
        let expected: Vec<u8> = (0..24).chain(0..36).collect();
        assert_eq!(images.pixels, expected);
        assert!(StoredImages::new(Path::new("x"), 2, vec![], Counting).is_err());
    }
}
