//! The accuracy of a probe.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::Probe;
use crate::{Error, FeatureNet, Features, ImageBatch, Result};

/// How many images a probe classifies correctly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Accuracy {
    /// All images.
    pub images: u64,
    /// Those classified correctly.
    pub right: u64,
}

impl Accuracy {
    /// The accuracy, from 0 to 1; NaN without images.
    pub fn value(&self) -> f64 {
        self.right as f64 / self.images as f64
    }

    /// The standard error of the accuracy, √(p(1 − p)/n).
    pub fn error(&self) -> f64 {
        (self.value() * (1.0 - self.value()) / self.images as f64).sqrt()
    }

    /// Adds images by predicted and true class.
    pub fn add(&mut self, said: &[u16], labels: &[u16]) {
        self.images += said.len().min(labels.len()) as u64;
        self.right += said.iter().zip(labels).filter(|(said, label)| said == label).count() as u64;
    }
}

/// A network whose features a probe sees as they are computed, so that images go through the network once for
/// all measures.
///
/// Images must come in the order of the labels, each once.
pub struct Probing<'a> {
    net: &'a dyn FeatureNet,
    probe: &'a Probe,
    labels: Vec<u16>,
    so_far: Mutex<Accuracy>,
}

impl<'a> Probing<'a> {
    /// With the labels of all images to come.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the probe was fitted to another network's features.
    pub fn new(net: &'a dyn FeatureNet, probe: &'a Probe, labels: Vec<u16>) -> Result<Self> {
        let (protocol, network) = (net.protocol(), &probe.about().network);
        if protocol != *network {
            return Err(Error::Mismatch {
                a: probe.name(),
                b: "the network at hand".into(),
                problem: format!(
                    "the probe is of `{network}`, the network is `{protocol}`; fit one with `nextscale probe fit`"
                ),
            });
        }
        Ok(Self { net, probe, labels, so_far: Mutex::default() })
    }

    /// The counts so far.
    pub fn accuracy(&self) -> Accuracy {
        *self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FeatureNet for Probing<'_> {
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

    fn extract(&self, images: &ImageBatch) -> Result<Features> {
        let features = self.net.extract(images)?;
        let said = self.probe.predict(&features)?;
        let mut so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        let from = so_far.images as usize;
        let labels = self.labels.get(from..from + said.len()).ok_or_else(|| Error::Shape {
            what: "images for a probe".into(),
            found: from + said.len(),
            expected: self.labels.len(),
        })?;
        so_far.add(&said, labels);
        Ok(features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{About, FitOptions, fit};
    use crate::testing::{Toy, picture};

    #[test]
    fn images_are_counted_as_they_pass_and_features_are_the_networks() {
        let net = Toy { name: "lite0", fault: None };
        let pixels: Vec<u8> = (0..40).flat_map(|seed| picture(seed, 4, 4).into_raw()).collect();
        let images = ImageBatch::new(4, 4, pixels).unwrap();
        let features = net.extract(&images).unwrap();
        let labels: Vec<u16> = features.pooled.chunks(12).map(|row| u16::from(row[0] > row[1])).collect();
        let fitted = fit(&features.pooled, 12, &labels, 2, &FitOptions::default(), &mut |_, _| {}).unwrap();
        let about = About {
            network: net.protocol(),
            classes: vec!["left".into(), "right".into()],
            data: "toys".into(),
            images: 40,
            l2: 0.01,
            test: None,
        };
        let probe = Probe::new(about.clone(), &fitted).unwrap();
        let probing = Probing::new(&net, &probe, labels.clone()).unwrap();
        for batch in images.pixels.chunks(17 * 48) {
            let batch = ImageBatch::new(4, 4, batch.to_vec()).unwrap();
            assert_eq!(probing.extract(&batch).unwrap(), net.extract(&batch).unwrap());
        }
        let accuracy = probing.accuracy();
        let mut expected = Accuracy::default();
        expected.add(&probe.predict(&features).unwrap(), &labels);
        assert_eq!(accuracy, expected);
        assert!(accuracy.images == 40 && accuracy.value() > 0.9, "{accuracy:?}");
        assert!(probing.extract(&images).unwrap_err().to_string().contains("80 values, expected 40"));
        let other = Probe::new(About { network: "other".into(), ..about }, &fitted).unwrap();
        let error = Probing::new(&net, &other, labels).err().unwrap();
        assert!(error.is_usage() && error.to_string().contains("the probe is of `other`"), "{error}");
    }

    #[test]
    fn the_standard_error_is_that_of_a_share() {
        let accuracy = Accuracy { images: 100, right: 80 };
        assert!((accuracy.value() - 0.8).abs() < 1e-12 && (accuracy.error() - 0.04).abs() < 1e-12);
    }
}
