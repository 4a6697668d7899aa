//! A small classifier, for the perceptual term of a tokenizer's training: its features know what pixels do not.

mod model;
mod named;
mod task;

use std::path::Path;

use burn::tensor::Device;

use crate::Result;

pub use model::Classifier;
pub use named::NamedClassifier;
pub use task::{WEIGHTS, train_classifier};

/// Whether a file is a classifier that a tokenizer's training can take.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) naming the file, and what does not fit.
pub fn check_classifier(path: &Path, device: &Device) -> Result<()> {
    Classifier::open(path, device).map(drop)
}
