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

macro_rules! later {
    ($net:ident, $name:literal) => {
        /// Stands in until the network is merged: colours of the image's quarters, and zeros.
        #[derive(Debug)]
        pub struct $net;

        impl FeatureNet for $net {
            fn name(&self) -> &str {
                $name
            }
            fn protocol(&self) -> String {
                concat!($name, " stand-in").into()
            }
            fn dims(&self) -> usize {
                1280
            }
            fn spatial_dims(&self) -> Option<usize> {
                None
            }
            fn classes(&self) -> Option<usize> {
                None
            }
            fn extract(&self, images: &ImageBatch) -> Result<Features> {
                let (height, width) = (images.height, images.width);
                let pooled = images.pixels.chunks_exact(height * width * 3).flat_map(|pixels| {
                    let mut sums = [0.0_f32; 1280];
                    pixels.iter().enumerate().for_each(|(i, &value)| {
                        let (y, x) = (i / 3 / width * 2 / height, i / 3 % width * 2 / width);
                        sums[(2 * y + x) * 3 + i % 3] += f32::from(value) / (height * width) as f32;
                    });
                    sums
                });
                let pooled = pooled.collect();
                Ok(Features { count: images.count, dims: 1280, pooled, spatial: None, logits: None })
            }
        }
    };
}
later!(Lite0, "lite0");
later!(Inception, "inception");

impl Lite0 {
    /// The shipped weights.
    pub fn shipped(_: &burn::tensor::Device) -> Result<Self> {
        Ok(Self)
    }
}

/// How images become the network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InceptionProtocol {
    /// As the `pytorch-fid` package.
    #[default]
    PytorchFid,
    /// As the ADM suite.
    TensorFlow,
}

impl Lite0 {
    /// The user's weights.
    pub fn load(_: impl AsRef<std::path::Path>, _: &burn::tensor::Device) -> Result<Self> {
        Ok(Self)
    }
}

impl Inception {
    /// Under another protocol.
    pub fn with_protocol(self, _: InceptionProtocol) -> Self {
        self
    }

    /// The user's weights.
    pub fn load(_: impl AsRef<std::path::Path>, _: &burn::tensor::Device) -> Result<Self> {
        Ok(Self)
    }
}
