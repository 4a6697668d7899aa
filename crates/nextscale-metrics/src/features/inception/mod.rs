//! The Inception network that defines FID.

mod blocks;
mod tower;

use std::path::Path;

use burn::tensor::Device;
use nextscale_kernels::nhwc::{Activation, Convolution, Map, Padding, Window};
use nextscale_weights::WeightFile;
use serde::{Deserialize, Serialize};

use super::{
    FeatureNet, Features,
    network::{Architecture, Network, sha256_of_file},
    resize::Resize,
};
use crate::{ImageBatch, Result};
use tower::{DIMS, SPATIAL, Tower};

const CLASSES: usize = 1008;

/// How images become the network's input. Distances under different ones are not comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum InceptionProtocol {
    /// As in the `pytorch-fid` package: half-pixel bilinear resize, 2·x/255 − 1.
    #[default]
    PytorchFid,
    /// As in the TensorFlow graph of Dhariwal and Nichol's evaluation suite (2021) and in `torch-fidelity`:
    /// TensorFlow 1's bilinear resize, (x − 128)/128. Use it for comparisons with that suite's reference
    /// batches.
    TensorFlow,
}

impl InceptionProtocol {
    const fn resize(self) -> Resize {
        match self {
            Self::PytorchFid => Resize::HalfPixel,
            Self::TensorFlow => Resize::TfBilinear,
        }
    }

    const fn range(self) -> &'static str {
        match self {
            Self::PytorchFid => "2x/255 - 1",
            Self::TensorFlow => "(x - 128)/128",
        }
    }

    fn value(self, x: f32) -> f32 {
        match self {
            Self::PytorchFid => 2.0 * (x / 255.0) - 1.0,
            Self::TensorFlow => (x - 128.0) / 128.0,
        }
    }
}

/// The FID Inception network (Heusel et al. 2017), with the weights that `pytorch-fid` ported from
/// TensorFlow's graph of 2015-12-05.
///
/// Gives pooled features (2048), spatial features (the first 7 channels of the graph's `mixed_6`, `[17, 17,
/// 7]` per image, as in the suite's sFID) and logits of 1008 classes without bias, as the suite's Inception
/// Score uses them.
pub struct Inception {
    network: Network<Tower>,
    classifier: Convolution,
    protocol: InceptionProtocol,
    sha256: String,
}

impl Inception {
    /// The network from `pt_inception-2015-12-05-6726825d.pth` under pytorch-fid's protocol.
    ///
    /// # Errors
    /// If the file cannot be read, or a tensor is missing, unexpected or misshapen.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let sha256 = sha256_of_file(path.as_ref())?;
        Self::from_file(&WeightFile::open(path)?, sha256, device)
    }

    fn from_file(file: &WeightFile, sha256: String, device: &Device) -> Result<Self> {
        let network = Network::load(&Tower, file, device)?;
        let (weight, _) = file.weights("fc.weight")?;
        let pixel = Window { size: [1, 1], stride: 1, padding: Padding::Symmetric([0, 0]) };
        let classifier = Convolution::new(&weight, &[0.0; CLASSES], DIMS, pixel, Activation::Identity);
        Ok(Self { network, classifier, protocol: InceptionProtocol::default(), sha256 })
    }

    /// The same network under another protocol.
    #[must_use]
    pub fn with_protocol(self, protocol: InceptionProtocol) -> Self {
        Self { protocol, ..self }
    }
}

impl FeatureNet for Inception {
    fn name(&self) -> &str {
        "inception"
    }

    fn protocol(&self) -> String {
        format!(
            "FID Inception (weights sha256 {}), {}×{} {}, {}, pooled {DIMS}",
            self.sha256,
            Tower::SIZE,
            Tower::SIZE,
            self.protocol.resize().about(),
            self.protocol.range()
        )
    }

    fn dims(&self) -> usize {
        DIMS
    }

    fn spatial_dims(&self) -> Option<usize> {
        Some(SPATIAL)
    }

    fn classes(&self) -> Option<usize> {
        Some(CLASSES)
    }

    fn extract(&self, images: &ImageBatch) -> Result<Features> {
        let protocol = self.protocol;
        let outputs = self.network.run(images, protocol.resize(), |x| protocol.value(x))?;
        let (pooled, spatial): (Vec<_>, Vec<_>) = outputs.into_iter().unzip();
        let pooled = Map::new([images.count, 1, 1, DIMS], pooled.concat());
        let logits = self.classifier.apply(&pooled).values;
        Ok(Features {
            count: images.count,
            dims: DIMS,
            pooled: pooled.values,
            spatial: Some(spatial.concat()),
            logits: Some(logits),
        })
    }
}

#[cfg(test)]
mod tests;
