//! Networks that turn images into the features that distances compare.
//!
//! A network's architecture is written once, over an [`Engine`](engine::Engine): the host's channels-last
//! kernels on the CPU device, burn's tensors on every other device.

mod engine;
#[cfg(test)]
mod formula;
mod host;
mod inception;
mod layer;
mod lite0;
mod network;
mod resize;
mod tensors;

pub use inception::{Inception, InceptionProtocol};
pub use lite0::Lite0;
pub(crate) use network::sha256_of_file;
pub use resize::Resize;

use crate::{ImageBatch, Result};

/// A network's outputs, image by image.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// The number of images.
    pub count: usize,
    /// Values per image in `pooled`.
    pub dims: usize,
    /// The means of the last feature map over its pixels, `[count, dims]`.
    pub pooled: Vec<f32>,
    /// Features with a position in the image, `[count, spatial_dims]`.
    pub spatial: Option<Vec<f32>>,
    /// Unnormalised log-probabilities of classes, `[count, classes]`.
    pub logits: Option<Vec<f32>>,
}

/// A network whose features are compared.
pub trait FeatureNet: Send + Sync {
    /// `"lite0"` or `"inception"`: the source of measures' names.
    fn name(&self) -> &str;

    /// Everything besides the images that the features depend on: the network, its weights' hash, resize and
    /// input range, in one line.
    fn protocol(&self) -> String;

    /// The number of pooled features.
    fn dims(&self) -> usize;

    /// The number of spatial features, if the network has them.
    fn spatial_dims(&self) -> Option<usize>;

    /// The number of classes, if the network has logits.
    fn classes(&self) -> Option<usize>;

    /// The features of every image. On the CPU device, an image's features are the same in any batch, bit for
    /// bit.
    ///
    /// Memory besides the result does not grow with the batch.
    ///
    /// # Errors
    /// If the batch is inconsistent.
    fn extract(&self, images: &ImageBatch) -> Result<Features>;
}
