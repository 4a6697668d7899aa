use std::ops::Range;
use std::path::{Path, PathBuf};

use super::bytes::Bytes;
use super::stored::Records;
use super::{StoredDataset, StoredImages};
use crate::{Error, Result};

const SIDE: usize = 32;
const CLASSES: [&str; 10] =
    ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];

/// Opens Fashion-MNIST's (or MNIST's) idx files, gzipped or not.
pub(super) fn open(root: &Path) -> Result<StoredDataset> {
    let split = |name: &str| -> Result<StoredImages> {
        let images = Idx::open(root, &format!("{name}-images-idx3-ubyte"), 3)?;
        let mut labels = Idx::open(root, &format!("{name}-labels-idx1-ubyte"), 1)?;
        let (count, height, width) = (images.sizes[0], images.sizes[1], images.sizes[2]);
        if height == 0 || width == 0 || height > SIDE || width > SIDE {
            return Err(Error::data(
                images.bytes.path(),
                format!("images of {height}×{width}; at most {SIDE}×{SIDE} can be padded"),
            ));
        }
        if labels.sizes[0] != count {
            let images = images.bytes.path().display();
            let message = format!("{} labels for {count} images of {images}", labels.sizes[0]);
            return Err(Error::data(labels.bytes.path(), message));
        }
        let mut values = vec![0; count];
        labels.read(0, &mut values)?;
        if let Some(label) = values.iter().find(|&&label| usize::from(label) >= CLASSES.len()) {
            return Err(Error::data(labels.bytes.path(), format!("label {label}; expected 0 to 9")));
        }
        StoredImages::new(root, SIDE, values.into_iter().map(u16::from).collect(), images)
    };
    let (train, test) = (split("train")?, split("t10k")?);
    Ok(StoredDataset { train, test, classes: CLASSES.map(String::from).to_vec() })
}

/// Whether a folder looks like Fashion-MNIST.
pub(super) fn is_at(root: &Path) -> bool {
    find(root, "train-images-idx3-ubyte").is_some()
}

/// A file by name, gzipped or not, in the layout of the data set's page, of torchvision (`FashionMNIST/raw/`)
/// or of Kaggle (`train-images.idx3-ubyte`, or a folder of that name).
fn find(root: &Path, name: &str) -> Option<PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    let folders = ["", "raw", "FashionMNIST/raw", "MNIST/raw"].map(|folder| root.join(folder));
    let names = [name.to_owned(), dotted.clone(), format!("{name}/{name}"), format!("{dotted}/{dotted}")];
    let places = folders.iter().flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    let gzipped = |path: &PathBuf| PathBuf::from(format!("{}.gz", path.display()));
    places.flat_map(|path| [path.clone(), gzipped(&path)]).find(|path| path.is_file())
}

/// A grey image in the middle of a black 32 × 32 one, repeated three times.
fn padded(image: &[u8], height: usize, width: usize) -> Vec<u8> {
    let (top, left) = ((SIDE - height) / 2, (SIDE - width) / 2);
    let mut plane = vec![0; SIDE * SIDE];
    for (y, row) in image.chunks_exact(width).enumerate() {
        let start = (top + y) * SIDE + left;
        plane[start..start + width].copy_from_slice(row);
    }
    plane.repeat(3)
}

/// An idx file of unsigned bytes.
struct Idx {
    bytes: Bytes,
    sizes: Vec<usize>,
}

impl Idx {
    /// Opens the file of this name in `root`, and checks its length.
    fn open(root: &Path, name: &str, axes: usize) -> Result<Self> {
        let path = find(root, name)
            .ok_or_else(|| Error::data(root, format!("holds neither {name} nor {name}.gz")))?;
        let mut bytes = Bytes::open(&path)?;
        let mut header = vec![0; 4 + 4 * axes];
        let whole = bytes.length(header.len() as u64)? == header.len() as u64;
        if whole {
            bytes.read(0, &mut header)?;
        }
        if !whole || header[..3] != [0, 0, 8] || usize::from(header[3]) != axes {
            return Err(Error::data(path, format!("not an idx file of bytes with {axes} axes")));
        }
        let sizes: Vec<usize> = header[4..]
            .chunks_exact(4)
            .map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]) as usize)
            .collect();
        let needed = sizes.iter().try_fold(1_u64, |product, &size| product.checked_mul(size as u64));
        // A byte more tells whether there are too many, however many a damaged file decodes to.
        let most = needed.unwrap_or(u64::MAX).saturating_add(header.len() as u64 + 1);
        let found = bytes.length(most)? - header.len() as u64;
        match needed {
            Some(needed) if needed == found => Ok(Self { bytes, sizes }),
            Some(needed) if needed < found => {
                let problem = format!(
                    "more than {needed} bytes for sizes {sizes:?}; there are more bytes than its header says"
                );
                Err(Error::data(path, problem))
            }
            _ => Err(Error::data(path, format!("{found} bytes for sizes {sizes:?}; the file is truncated"))),
        }
    }

    /// Reads bytes behind the header.
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<()> {
        self.bytes.read(4 + 4 * self.sizes.len() as u64 + offset, into)
    }
}

/// Images of the first axis, padded.
impl Records for Idx {
    fn read(&mut self, images: Range<usize>, planes: &mut Vec<u8>) -> Result<()> {
        let (height, width) = (self.sizes[1], self.sizes[2]);
        let mut image = vec![0; height * width];
        for index in images {
            Idx::read(self, index as u64 * image.len() as u64, &mut image)?;
            planes.extend(padded(&image, height, width));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::Dataset;
    use super::*;

    fn load(root: &Path) -> Result<Dataset> {
        open(root)?.load()
    }

    fn header(axes: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, axes.len() as u8];
        bytes.extend(axes.iter().flat_map(|axis| axis.to_be_bytes()));
        bytes
    }

    fn write(root: &Path, images: &[u8]) {
        for name in ["train", "t10k"] {
            let mut bytes = header(&[1, 28, 28]);
            bytes.extend(images);
            let file = std::fs::File::create(root.join(format!("{name}-images-idx3-ubyte.gz"))).unwrap();
            let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            encoder.write_all(&bytes).unwrap();
            encoder.finish().unwrap();
            let mut labels = header(&[1]);
            labels.push(9);
            std::fs::write(root.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
        }
    }

    #[test]
    fn reads_gzipped_and_plain_files_and_pads_two_pixels_a_side() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[200; 784]);
        let data = load(folder.path()).unwrap();
        assert_eq!((data.train.len(), data.test.labels[0], data.train.size), (1, 9, 32));
        let pixel = |y: usize, x: usize| data.train.pixels[y * 32 + x];
        assert_eq!(
            (pixel(1, 2), pixel(2, 1), pixel(2, 2), pixel(29, 29), pixel(30, 29)),
            (0, 0, 200, 200, 0)
        );
        assert_eq!(data.train.pixels[..1024], data.train.pixels[2048..]);
    }

    #[test]
    fn the_names_of_torchvision_and_kaggle_are_known() {
        for (folder, change) in [("FashionMNIST/raw", "-idx"), ("", ".idx"), ("", "/")] {
            let root = tempfile::tempdir().unwrap();
            let plain = tempfile::tempdir().unwrap();
            write(plain.path(), &[200; 784]);
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
            for entry in std::fs::read_dir(plain.path()).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().to_string_lossy().into_owned();
                let name = match change {
                    "/" if name.ends_with(".gz") => name,
                    "/" => {
                        std::fs::create_dir_all(root.path().join(&name)).unwrap();
                        format!("{name}/{name}")
                    }
                    other => name.replace("-idx", other),
                };
                std::fs::copy(entry.path(), root.path().join(folder).join(name)).unwrap();
            }
            assert!(is_at(root.path()));
            assert_eq!(load(root.path()).unwrap().train.len(), 1, "{folder} {change}");
        }
    }

    #[test]
    fn a_truncated_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[1; 700]);
        let message = load(folder.path()).unwrap_err().to_string();
        assert!(message.contains("train-images-idx3-ubyte.gz") && message.contains("truncated"), "{message}");
        write(folder.path(), &[1; 785]);
        let message = load(folder.path()).unwrap_err().to_string();
        assert!(message.contains("idx3-ubyte.gz") && message.contains("more bytes"), "{message}");
        write(folder.path(), &[1; 784]);
        for (labels, told) in [([1, 10].as_slice(), "label 10"), (&[2, 1, 1], "2 labels for 1 images of")] {
            let bytes = [&header(&[u32::from(labels[0])]), &labels[1..]].concat();
            std::fs::write(folder.path().join("train-labels-idx1-ubyte"), bytes).unwrap();
            let message = load(folder.path()).unwrap_err().to_string();
            assert!(message.contains("train-labels-idx1-ubyte") && message.contains(told), "{message}");
        }
    }
}
