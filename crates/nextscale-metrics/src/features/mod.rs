//! Networks that describe images.

use crate::{ImageBatch, Result};

/// What a network says of images.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// How many images.
    pub count: usize,
    /// Pooled features an image.
    pub dims: usize,
    /// Pooled features, `[count, dims]`.
    pub pooled: Vec<f32>,
    /// Features that keep their place in the image, `[count, spatial_dims]`.
    pub spatial: Option<Vec<f32>>,
    /// Class scores before softmax, `[count, classes]`.
    pub logits: Option<Vec<f32>>,
}

/// A network that describes images.
pub trait FeatureNet: Send + Sync {
    /// The network's short name: "lite0" or "inception". Names of measures derive from it.
    fn name(&self) -> &str;
    /// Network, the weights' sha256, resize and input range, in one line. Features of equal protocols can be compared.
    fn protocol(&self) -> String;
    /// Pooled features an image.
    fn dims(&self) -> usize;
    /// Spatial features an image, if it has them.
    fn spatial_dims(&self) -> Option<usize>;
    /// Class scores an image, if it has them.
    fn classes(&self) -> Option<usize>;
    /// The features of images, the same however they are batched.
    ///
    /// # Errors
    /// If the images cannot be taken or the device fails.
    fn extract(&self, images: &ImageBatch) -> Result<Features>;
}
