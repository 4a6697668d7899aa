//! Linear probes: predict an image's class by a linear classifier on a network's pooled features.

mod accuracy;
mod file;
mod fit;

pub use accuracy::{Accuracy, Probing};
pub use file::ProbeFile;
pub use fit::{FitOptions, Fitted, fit};

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::gram::{Block, widen};
use crate::names::Names;
use crate::source::labels;
use crate::{Error, Features, Result};

/// A linear classifier on a network's pooled features x: the class with the largest logit of Wx + b. The
/// standardisation of features is folded into W and b.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    about: About,
    /// `[classes, dims]`, row-major.
    weight: Vec<f32>,
    /// `[classes]`.
    bias: Vec<f32>,
    /// The file that it was read from, and its hash.
    file: Option<(String, String)>,
}

/// What a probe is, and what it was fitted to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The network with everything that its features depend on, as in
    /// [`FeatureNet::protocol`](crate::FeatureNet::protocol).
    pub network: String,
    /// The classes' names, by label.
    pub classes: Vec<String>,
    /// What the images were.
    pub data: String,
    /// The number of images that it was fitted to.
    pub images: u64,
    /// The weight of ½|W|² relative to the mean cross-entropy, where W applies to standardised features.
    pub l2: f64,
    /// The accuracy on held-out images, if measured.
    pub test: Option<Accuracy>,
}

impl Probe {
    /// A fitted classifier of a network's features. `about.classes` is ordered by label.
    ///
    /// # Errors
    /// [`Error::Shape`] if the sizes do not match the number of classes.
    pub fn new(about: About, fitted: &Fitted) -> Result<Self> {
        let (weight, bias) = fitted.unstandardised();
        Self { about, weight, bias, file: None }.checked()
    }

    fn checked(self) -> Result<Self> {
        let classes = self.about.classes.len();
        let shape = |what: &str, found, expected| Error::Shape { what: what.into(), found, expected };
        if self.bias.len() != classes || classes == 0 {
            return Err(shape("the probe's bias", self.bias.len(), classes));
        }
        if self.weight.is_empty() || !self.weight.len().is_multiple_of(classes) {
            return Err(shape("the probe's weight", self.weight.len(), classes));
        }
        Ok(self)
    }

    /// What it is, and what it was fitted to.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The label of what an image shows: a class by its name or its index in digits, or a prompt that names
    /// one class.
    ///
    /// # Errors
    /// If the probe knows no such class.
    pub fn label(&self, class: &str) -> Result<u16> {
        labels::shown(Path::new(&self.name()), class, &self.about.classes)
    }

    /// What its accuracy is called on the features of a network: "Probe accuracy-Lite0".
    pub fn accuracy_name(network: &str) -> String {
        Names::of(network).probe
    }

    /// Records the accuracy on held-out images.
    pub fn set_test(&mut self, test: Accuracy) {
        self.about.test = Some(test);
    }

    /// The class of every image, as an index into the classes' names.
    ///
    /// # Errors
    /// [`Error::Shape`] if the number of features differs.
    pub fn predict(&self, features: &Features) -> Result<Vec<u16>> {
        let classes = self.bias.len();
        let dims = self.weight.len() / classes;
        if features.dims != dims || features.pooled.len() != features.count * dims {
            let what = "pooled features for the probe".into();
            return Err(Error::Shape { what, found: features.pooled.len(), expected: features.count * dims });
        }
        let (mut x, mut weight) = (Vec::new(), Vec::new());
        widen(&features.pooled, &mut x);
        widen(&self.weight, &mut weight);
        let mut logits = vec![0.0; features.count * classes];
        Block::new(&x, dims).inner(Block::new(&weight, dims), &mut logits);
        let greatest = |logits: &[f64]| {
            let logit = |class: usize| logits[class] + f64::from(self.bias[class]);
            // The first of equals.
            (1..classes).fold(0, |best, class| if logit(class) > logit(best) { class } else { best }) as u16
        };
        Ok(logits.chunks_exact(classes).map(greatest).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_logit_wins_and_of_equals_the_first() {
        let about = About {
            network: "toy".into(),
            classes: ["a", "b", "c"].map(String::from).to_vec(),
            data: "none".into(),
            images: 0,
            l2: 1.0,
            test: None,
        };
        let probe = Probe {
            about,
            weight: vec![1.0, 0.0, 0.0, 1.0, 0.0, 1.0],
            bias: vec![0.5, 0.0, 0.0],
            file: None,
        };
        let of = |pooled: &[f32]| {
            let pooled = pooled.to_vec();
            Features { count: pooled.len() / 2, dims: 2, pooled, spatial: None, logits: None }
        };
        assert_eq!(probe.predict(&of(&[0.0, 0.0, 0.0, 2.0, 1.0, 1.4])).unwrap(), [0, 1, 0]);
        let other = Features { dims: 3, ..of(&[0.0; 6]) };
        assert!(matches!(probe.predict(&other), Err(Error::Shape { .. })));
    }
}
