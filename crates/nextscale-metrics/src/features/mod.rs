//! Networks that turn images into the numbers that distances are taken over.
//!
//! A network's architecture is written once, over an [`Engine`](engine::Engine): the host's channels-last kernels on the CPU
//! device, burn's tensors on every other.

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

/// What a network says of images, image by image.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// How many images.
    pub count: usize,
    /// Numbers an image in `pooled`.
    pub dims: usize,
    /// The last feature map's means over its pixels, `[count, dims]`.
    pub pooled: Vec<f32>,
    /// Features that keep their place in the image, `[count, spatial_dims]`.
    pub spatial: Option<Vec<f32>>,
    /// Unnormalised log-probabilities of classes, `[count, classes]`.
    pub logits: Option<Vec<f32>>,
}

/// A network whose features are compared.
pub trait FeatureNet: Send + Sync {
    /// `"lite0"` or `"inception"`: what measures' names come from.
    fn name(&self) -> &str;

    /// Everything that the features depend on beside the images: the network, its weights' hash, resize and input range, in
    /// one line.
    fn protocol(&self) -> String;

    /// The number of pooled features.
    fn dims(&self) -> usize;

    /// The number of spatial features, where the network has them.
    fn spatial_dims(&self) -> Option<usize>;

    /// The number of classes, where the network has logits.
    fn classes(&self) -> Option<usize>;

    /// The features of every image. On the CPU device an image's features have the same bits alone and in any batch.
    ///
    /// Memory beside the result does not grow with the batch.
    ///
    /// # Errors
    /// If the batch contradicts itself.
    fn extract(&self, images: &ImageBatch) -> Result<Features>;
}
