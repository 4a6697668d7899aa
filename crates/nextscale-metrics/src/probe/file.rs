//! Probe files: safetensors with weight and bias, and metadata about the fit.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::TensorData;
use nextscale_files::sha256;
use nextscale_weights::{ExpectedTensors, Precision, WeightFile, save_safetensors};
use serde::{Deserialize, Serialize};

use super::{About, Probe};
use crate::features::sha256_of_file;
use crate::{Error, Result};

/// The metadata's key; its value is the format's number.
const KEY: &str = "nextscale_probe_1";

/// For CIFAR-10's classes, fitted to all training images: see `models/lite0`.
const CIFAR10: &[u8] = include_bytes!("../../../../models/lite0/cifar10-probe.safetensors");

/// A probe or classifier, and how many images it classified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeFile {
    /// The path as given.
    pub name: String,
    /// The hash of the file.
    pub sha256: String,
    /// The number of images that it classified.
    pub images: u64,
}

impl Probe {
    /// Writes the probe to a safetensors file, completely or not at all; the same probe gives the same bytes.
    ///
    /// # Errors
    /// [`Error::Weights`] if writing fails.
    pub fn save(&self, path: &Path) -> Result<()> {
        let (classes, values) = (self.bias.len(), self.weight.len());
        let tensors = [
            ("weight".to_owned(), TensorData::new(self.weight.clone(), [classes, values / classes])),
            ("bias".to_owned(), TensorData::new(self.bias.clone(), [classes])),
        ];
        // Strings and numbers, which JSON can always express.
        let about = serde_json::to_string(&self.about).unwrap_or_default();
        let metadata = BTreeMap::from([(KEY.to_owned(), about)]);
        Ok(save_safetensors(path, tensors, Precision::F32, &metadata)?)
    }

    /// The shipped probe of a data set on the shipped network's features: "cifar10".
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn shipped(name: &str) -> Result<Self> {
        let path = Path::new("the shipped probe");
        if name != "cifar10" {
            return Err(Error::source(path, format!("is of `cifar10` only, not of `{name}`; give a file")));
        }
        Self::from_file(&WeightFile::from_bytes(CIFAR10, "the shipped probe")?, path, sha256(CIFAR10))
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`Error::Weights`] or [`Error::Source`], naming the file, if it cannot be read or is not a probe.
    pub fn read(path: &Path) -> Result<Self> {
        Self::from_file(&WeightFile::open(path)?, path, sha256_of_file(path)?)
    }

    fn from_file(file: &WeightFile, path: &Path, sha256: String) -> Result<Self> {
        let about: About = file
            .metadata()
            .get(KEY)
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| Error::source(path, "is not a probe; `nextscale probe fit` makes one"))?;
        let classes = about.classes.len();
        let dims = file.info("weight").and_then(|info| info.shape.get(1).copied()).unwrap_or(0);
        ExpectedTensors::new("a probe")
            .tensor("weight", [classes, dims])
            .tensor("bias", [classes])
            .check(file)?;
        let (weight, bias) = (file.values("weight")?.0, file.values("bias")?.0);
        if weight.iter().chain(&bias).any(|value| !value.is_finite()) {
            return Err(Error::source(path, "holds values that are not finite; fit it again"));
        }
        Self { about, weight, bias, file: Some((path.display().to_string(), sha256)) }.checked()
    }

    /// The file that it was read from, and how many images the accuracy is based on. Without a file there is
    /// no hash.
    pub fn origin(&self, images: u64) -> ProbeFile {
        let sha256 = self.file.as_ref().map(|(_, sha256)| sha256.clone()).unwrap_or_default();
        ProbeFile { name: self.name(), sha256, images }
    }

    pub(super) fn name(&self) -> String {
        self.file.as_ref().map_or_else(|| "the probe".into(), |(name, _)| name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Lite0;
    use crate::probe::{Accuracy, Probing};

    #[test]
    fn a_probe_is_read_as_it_was_written_and_other_files_are_named() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("probe.safetensors");
        let about = About {
            network: "toy".into(),
            classes: vec!["a".into(), "b".into()],
            data: "toys".into(),
            images: 12,
            l2: 0.01,
            test: Some(Accuracy { images: 4, right: 3 }),
        };
        let probe = Probe {
            about,
            weight: vec![0.1, 0.2, 0.3, 1e-8, 2.0, 70000.0],
            bias: vec![0.5, -0.5],
            file: None,
        };
        probe.save(&path).unwrap();
        let read = Probe::read(&path).unwrap();
        assert_eq!((read.about(), &read.weight, &read.bias), (probe.about(), &probe.weight, &probe.bias));
        let origin = read.origin(7);
        assert!(
            origin.name.ends_with("probe.safetensors") && origin.sha256.len() == 64 && origin.images == 7
        );
        Probe { bias: vec![f32::NAN, 0.0], ..probe.clone() }.save(&path).unwrap();
        assert!(Probe::read(&path).unwrap_err().to_string().contains("probe.safetensors holds values"));
        Probe { weight: vec![0.0; 4], bias: vec![0.0], ..probe }.save(&path).unwrap();
        assert!(Probe::read(&path).is_err());
        let network = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/lite0/lite0-f16.safetensors");
        let error = Probe::read(Path::new(network)).unwrap_err().to_string();
        assert!(error.contains("lite0-f16.safetensors is not a probe"), "{error}");
        assert!(Probe::read(&root.path().join("none")).is_err());
    }

    #[test]
    fn the_shipped_probe_is_of_the_shipped_network() {
        let probe = Probe::shipped("cifar10").unwrap();
        let net = Lite0::shipped(&burn::tensor::Device::flex()).unwrap();
        assert!(Probing::new(&net, &probe, Vec::new()).is_ok());
        let About { classes, images, test, .. } = probe.about();
        assert_eq!((classes.len(), classes[8].as_str(), *images), (10, "ship", 50_000));
        assert_eq!(*test, Some(Accuracy { images: 10_000, right: 8377 }));
        assert!(Probe::shipped("imagenet").unwrap_err().to_string().contains("`imagenet`"));
    }
}
