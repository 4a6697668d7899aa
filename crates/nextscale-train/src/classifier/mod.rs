//! A small classifier, for the perceptual term of a tokenizer's training and as a measure of samples.

mod model;
mod named;
mod task;

use std::path::Path;

use burn::tensor::Device;
use nextscale_weights::WeightFile;

use crate::Result;

pub use model::Classifier;
pub use named::NamedClassifier;
pub use task::{WEIGHTS, train_classifier};

/// Whether a file's header is that of a classifier.
pub fn is_classifier(file: &WeightFile) -> bool {
    file.metadata().contains_key(model::CLASSES) && file.names().any(|name| name.ends_with("widen.weight"))
}

/// Checks that a file is a classifier that a tokenizer's training can use.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) naming the file, and what does not fit.
pub fn check_classifier(path: &Path, device: &Device) -> Result<()> {
    Classifier::open(path, device).map(drop)
}
