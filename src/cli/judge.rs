//! A trained classifier as a measure of samples.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use burn::tensor::Device;

use super::device::DeviceArgs;
use super::failure::failure;
use super::{Failure, place};
use crate::files::sha256_of_file;
use crate::metrics::probe::Accuracy;
use crate::metrics::{Error, FeatureNet, Features, ImageBatch, Input, ProbeFile};
use crate::train::NamedClassifier;

/// A separately trained classifier, with its file.
pub(super) struct Judge {
    classifier: NamedClassifier,
    name: String,
    sha256: String,
    device: Device,
}

impl Judge {
    pub fn open(file: &Path, device: &DeviceArgs) -> Result<Self, Failure> {
        place::check_given(file, "--classifier takes a file of `nextscale train classifier`")?;
        let device = device.device.open().map_err(|error| Failure::Usage(miette::miette!("{error}")))?;
        let run = |error: &dyn std::fmt::Display| Failure::Run(miette::miette!("{error}"));
        let classifier = NamedClassifier::open(file, &device).map_err(|error| run(&error))?;
        let sha256 = sha256_of_file(file)
            .map_err(|error| Failure::Run(miette::miette!("cannot read {}: {error}", file.display())))?;
        Ok(Self { classifier, name: file.display().to_string(), sha256, device })
    }

    /// `net`, with every image classified on its way through it.
    pub fn watching<'a>(&'a self, net: &'a dyn FeatureNet, samples: &Input) -> Result<Judging<'a>, Failure> {
        let Input::Images(source) = samples else {
            return Err(Failure::Usage(miette::miette!(
                "{} holds statistics and no images, and --classifier looks at images one by one; give the images",
                samples.path().display()
            )));
        };
        self.classifier
            .check_size(source.size())
            .map_err(|error| Failure::Usage(miette::miette!("{}: {error}", self.name)))?;
        let labels = source.labels(self.classifier.classes()).map_err(failure)?;
        Ok(Judging { net, judge: self, labels, so_far: Mutex::default() })
    }

    /// The file, for a report on this many images.
    pub fn origin(&self, images: u64) -> ProbeFile {
        ProbeFile { name: self.name.clone(), sha256: self.sha256.clone(), images }
    }
}

/// A network whose images a classifier sees, each once and in the order of the labels.
pub(super) struct Judging<'a> {
    net: &'a dyn FeatureNet,
    judge: &'a Judge,
    labels: Vec<u16>,
    so_far: Mutex<Accuracy>,
}

impl Judging<'_> {
    /// The counts so far.
    pub fn accuracy(&self) -> Accuracy {
        *self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FeatureNet for Judging<'_> {
    fn name(&self) -> &str {
        self.net.name()
    }

    fn protocol(&self) -> String {
        self.net.protocol()
    }

    fn dims(&self) -> usize {
        self.net.dims()
    }

    fn spatial_dims(&self) -> Option<usize> {
        self.net.spatial_dims()
    }

    fn classes(&self) -> Option<usize> {
        self.net.classes()
    }

    fn extract(&self, images: &ImageBatch) -> Result<Features, Error> {
        let features = self.net.extract(images)?;
        let size = [images.height, images.width];
        let found = self.judge.classifier.predict(&images.pixels, size, &self.judge.device);
        let mut so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        let from = so_far.images as usize;
        let labels = self.labels.get(from..from + found.len()).ok_or_else(|| Error::Shape {
            what: "images for a classifier".into(),
            found: from + found.len(),
            expected: self.labels.len(),
        })?;
        so_far.add(&found, labels);
        Ok(features)
    }
}
