//! Features of images, and the distances between sets of them.
//!
//! A [`features::FeatureNet`] turns images into features; a [`Statistics`] gathers what the measures need of a set, in
//! one pass and in memory that does not grow with it; [`evaluate`] compares two of them:
//!
//!
//! Every measure is also a plain function of features, see [`frechet`], [`kid`], [`inception_score`] and
//! [`precision_recall`].

mod distances;
mod error;
pub mod features;
pub mod frechet;
mod gram;
mod images;
pub mod inception_score;
pub mod kid;
mod moments;
mod numpy_random;
pub mod precision_recall;
mod sums;
#[cfg(test)]
mod testing;

pub use error::{Error, Result};
pub use images::ImageBatch;
pub use moments::Moments;
pub use sums::FeatureSums;
