use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_weights::WeightFile;

use super::Classifier;
use crate::{Error, Result};

/// The header's entries, beside those of the weights.
const NAMES: &str = "names";
const SIZE: &str = "size";

/// Images that go through the network at a time.
const BATCH: usize = 200;

/// A trained classifier with its classes' names and the size of its images.
#[derive(Debug)]
pub struct NamedClassifier {
    model: Classifier,
    classes: Vec<String>,
    size: Option<usize>,
}

impl NamedClassifier {
    /// Reads a file that `train classifier` wrote. Files without names have the labels 0, 1, … in their
    /// place.
    ///
    /// # Errors
    /// [`Error::Data`] naming the file, and what does not fit.
    pub fn open(path: &Path, device: &Device) -> Result<Self> {
        let model = Classifier::open(path, device)?;
        let file = WeightFile::open(path).map_err(|error| Error::data(path, error.to_string()))?;
        let count = model.classes();
        let classes = match file.metadata().get(NAMES) {
            None => (0..count).map(|class| class.to_string()).collect(),
            Some(text) => serde_json::from_str::<Vec<String>>(text)
                .ok()
                .filter(|names| names.len() == count)
                .ok_or_else(|| Error::data(path, format!("does not name its {count} classes")))?,
        };
        let size = file.metadata().get(SIZE).and_then(|text| text.parse().ok());
        Ok(Self { model, classes, size })
    }

    /// The header's entries for classes and a size.
    pub(super) fn metadata(classes: &[String], size: usize) -> BTreeMap<String, String> {
        // JSON can express every string.
        let names = serde_json::to_string(classes).unwrap_or_default();
        BTreeMap::from([(NAMES.into(), names), (SIZE.into(), size.to_string())])
    }

    /// The classes' names, by label.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Checks that images of `height` × `width` pixels can be classified.
    ///
    /// # Errors
    /// [`Error::Setting`] unless they have the size of the training images; if the file does not state that,
    /// unless every stage can halve them.
    pub fn check_size(&self, [height, width]: [usize; 2]) -> Result<()> {
        let granularity = self.model.granularity();
        let problem = match self.size {
            Some(size) if [height, width] != [size; 2] => {
                format!("it was trained on {size}×{size} pixels, and the images have {width}×{height}")
            }
            None if !height.is_multiple_of(granularity) || !width.is_multiple_of(granularity) => {
                format!("sides must be multiples of {granularity}, and the images have {width}×{height}")
            }
            _ => return Ok(()),
        };
        Err(Error::setting("classifier", format!("{problem}; resize them with --size")))
    }

    /// The class of every image of `pixels`, uint8 `[images, height, width, 3]`, of a
    /// [checked](Self::check_size) size.
    pub fn predict(&self, pixels: &[u8], [height, width]: [usize; 2], device: &Device) -> Vec<u16> {
        let image = height * width * 3;
        let mut found = Vec::with_capacity(pixels.len() / image.max(1));
        for batch in pixels.chunks(BATCH * image) {
            let values: Vec<f32> = batch.iter().map(|&x| f32::from(x) / 127.5 - 1.0).collect();
            let shape = [batch.len() / image, height, width, 3];
            let images = Tensor::<4>::from_data(TensorData::new(values, shape), device);
            let logits = self.model.logits(images.permute([0, 3, 1, 2]));
            found.extend(logits.argmax(1).into_data().iter::<i64>().map(|class| class as u16));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(path: &Path, metadata: BTreeMap<String, String>) {
        of_seed(1).save(path, metadata).unwrap();
    }

    fn of_seed(seed: u64) -> Classifier {
        Classifier::init([8, 2, 3], seed, &Device::flex()).unwrap()
    }

    #[test]
    fn names_and_size_come_from_the_file_and_labels_stand_in_for_missing_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.safetensors");
        let open = || NamedClassifier::open(&path, &Device::flex());
        let names = ["a", "b \"c\"", "d"].map(String::from);
        saved(&path, NamedClassifier::metadata(&names, 4));
        let named = open().unwrap();
        assert_eq!(named.classes(), names);
        assert!(named.check_size([4, 4]).is_ok());
        assert!(
            named.check_size([8, 4]).unwrap_err().to_string().contains("4×4 pixels, and the images have 4×8")
        );
        saved(&path, BTreeMap::new());
        let unnamed = open().unwrap();
        assert_eq!(unnamed.classes(), ["0", "1", "2"]);
        assert!(unnamed.check_size([6, 2]).is_ok());
        assert!(unnamed.check_size([6, 3]).unwrap_err().to_string().contains("multiples of 2"));
        saved(&path, NamedClassifier::metadata(&names[..2], 4));
        assert!(open().unwrap_err().to_string().contains("does not name its 3 classes"));
    }

    #[test]
    fn classes_are_those_of_the_models_logits_whatever_the_batch() {
        let folder = tempfile::tempdir().unwrap();
        let (path, device) = (folder.path().join("c.safetensors"), Device::flex());
        let count = BATCH + 7;
        // Image n is mostly red, green or blue, in stripes as wide as n says, with some texture.
        let pixels: Vec<u8> = (0..count * 4 * 6 * 3)
            .map(|i| {
                let (n, position, channel) = (i / 72, i % 72 / 3, i % 3);
                let lit = channel == n % 3 && position / (1 + n % 5) % 2 == 0;
                200 * u8::from(lit) + (i * i / 7 % 56) as u8
            })
            .collect();
        // An untrained classifier that tells some of them apart.
        let differs = |seed| {
            of_seed(seed).save(&path, BTreeMap::new()).unwrap();
            let named = NamedClassifier::open(&path, &device).unwrap();
            let found = named.predict(&pixels, [4, 6], &device);
            found.iter().any(|&class| class != found[0]).then_some((named, found))
        };
        let (named, found) = (1..100).find_map(differs).expect("one of a hundred");
        assert_eq!(found.len(), count);
        for (image, &class) in pixels.chunks(72).zip(&found) {
            // Channels first, by hand.
            let planes = (0..3).flat_map(|c| (0..24).map(move |p| f32::from(image[p * 3 + c]) / 127.5 - 1.0));
            let data = TensorData::new(planes.collect::<Vec<f32>>(), [1, 3, 4, 6]);
            let logits: Vec<f32> =
                named.model.logits(Tensor::from_data(data, &device)).into_data().iter().collect();
            let best = logits.iter().copied().fold(f32::MIN, f32::max);
            assert!(best - logits[usize::from(class)] < 1e-5, "{logits:?} {class}");
        }
    }
}
