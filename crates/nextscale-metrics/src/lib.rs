//! Features of images, and the distances between sets of them.

mod error;
mod features;
mod images;

pub use error::{Error, Result};
pub use features::{FeatureNet, Features, Inception, InceptionProtocol, Lite0, Resize};
pub use images::ImageBatch;
