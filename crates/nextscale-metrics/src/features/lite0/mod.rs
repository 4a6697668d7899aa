use std::path::Path;

use burn::tensor::Device;
use nextscale_files::sha256;
use nextscale_kernels::nhwc::{Activation, Padding, Window};
use nextscale_weights::{ExpectedTensors, WeightFile};

use super::{
    FeatureNet, Features,
    engine::Engine,
    layer::Spec,
    network::{Architecture, Network, sha256_of_file},
    resize::Resize,
};
use crate::{ImageBatch, Result};

/// The shipped weights: see `models/lite0`.
const WEIGHTS: &[u8] = include_bytes!("../../../../../models/lite0/lite0-f16.safetensors");
const DIMS: usize = 1280;

/// EfficientNet-Lite0 up to its pooled features, equal to timm's `tf_efficientnet_lite0`; images at 96×96.
///
/// EfficientNet (Tan and Le 2019, table 1) without squeeze-and-excitation, with ReLU6, and with a stem and
/// head of fixed width, as in TensorFlow's EfficientNet-Lite. Trained on ImageNet-1k.
pub struct Lite0 {
    network: Network<Tower>,
    sha256: String,
}

impl Lite0 {
    /// The network with the weights compiled into the program.
    ///
    /// # Errors
    /// If they are corrupt.
    pub fn shipped(device: &Device) -> Result<Self> {
        let file = WeightFile::from_bytes(WEIGHTS, "the shipped EfficientNet-Lite0")?;
        Ok(Self { network: Network::load(&Tower::of(&file), &file, device)?, sha256: sha256(WEIGHTS) })
    }

    /// The network with your own weights: `.pth` or `.safetensors`, with the names of the original release
    /// (`_blocks.0._depthwise_conv.weight`) or timm's (`blocks.0.0.conv_dw.weight`). A classifier is ignored.
    ///
    /// # Errors
    /// If the file cannot be read, or a tensor is missing, unexpected or misshapen.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let file = WeightFile::open(&path)?;
        let network = Network::load(&Tower::of(&file), &file, device)?;
        Ok(Self { network, sha256: sha256_of_file(path.as_ref())? })
    }
}

impl FeatureNet for Lite0 {
    fn name(&self) -> &str {
        "lite0"
    }

    fn protocol(&self) -> String {
        format!(
            "EfficientNet-Lite0 (weights sha256 {}), {}×{} {}, (x - 127)/128, pooled {DIMS}",
            self.sha256,
            Tower::SIZE,
            Tower::SIZE,
            Resize::Antialiased.about()
        )
    }

    fn dims(&self) -> usize {
        DIMS
    }

    fn spatial_dims(&self) -> Option<usize> {
        None
    }

    fn classes(&self) -> Option<usize> {
        None
    }

    fn extract(&self, images: &ImageBatch) -> Result<Features> {
        let pooled = self.network.run(images, Resize::Antialiased, |x| (x - 127.0) / 128.0)?;
        Ok(Features { count: images.count, dims: DIMS, pooled: pooled.concat(), spatial: None, logits: None })
    }
}

/// A stage: number of blocks, kernel, stride of the first, expansion of the inner channels, channels out.
struct Stage(usize, usize, usize, usize, usize);

const STEM: usize = 32;
const STAGES: [Stage; 7] = [
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
];

/// The layers up to the pooled features, under one of two sets of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tower {
    /// Those of the release.
    Release,
    /// timm's.
    Timm,
}

impl Tower {
    /// By the names found in the file.
    fn of(file: &WeightFile) -> Self {
        if file.info("conv_stem.weight").is_some() { Self::Timm } else { Self::Release }
    }

    /// Names of the convolution and batch norm of a block's part; `block` counts over all stages and within
    /// its stage.
    fn names(self, part: Part, [all, stage, within]: [usize; 3], expands: bool) -> [String; 2] {
        let [conv, norm] = match (self, part) {
            (Self::Release, Part::Expand) => ["_expand_conv", "_bn0"],
            (Self::Release, Part::Depthwise) => ["_depthwise_conv", "_bn1"],
            (Self::Release, Part::Project) => ["_project_conv", "_bn2"],
            (Self::Timm, Part::Expand) => ["conv_pw", "bn1"],
            (Self::Timm, Part::Depthwise) => ["conv_dw", if expands { "bn2" } else { "bn1" }],
            (Self::Timm, Part::Project) if expands => ["conv_pwl", "bn3"],
            (Self::Timm, Part::Project) => ["conv_pw", "bn2"],
        };
        let block = match self {
            Self::Release => format!("_blocks.{all}"),
            Self::Timm => format!("blocks.{stage}.{within}"),
        };
        [format!("{block}.{conv}"), format!("{block}.{norm}")]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Expand,
    Depthwise,
    Project,
}

fn spec([conv, norm]: [String; 2], channels: [usize; 2], size: usize, stride: usize) -> Spec {
    let window = Window { size: [size; 2], stride, padding: Padding::Same };
    Spec { conv, norm, channels, depthwise: false, window, activation: Activation::Relu6 }
}

pub struct Net<C> {
    stem: C,
    blocks: Vec<Block<C>>,
    head: C,
}

/// An inverted residual (MobileNetV2): expand, filter each channel, project; the input is added if the shape
/// is kept.
struct Block<C> {
    expand: Option<C>,
    depthwise: C,
    project: C,
    residual: bool,
}

impl Architecture for Tower {
    type Net<C: Send + Sync> = Net<C>;
    /// Pooled features `[count, 1280]`.
    type Output = Vec<f32>;
    const NAME: &'static str = "an EfficientNet-Lite0";
    const SIZE: usize = 96;
    const TOGETHER: usize = 4;

    fn build<C: Send + Sync>(&self, conv: &mut dyn FnMut(Spec) -> Result<C>) -> Result<Net<C>> {
        let [stem, head] = match self {
            Self::Release => [["_conv_stem", "_bn0"], ["_conv_head", "_bn1"]],
            Self::Timm => [["conv_stem", "bn1"], ["conv_head", "bn2"]],
        }
        .map(|names| names.map(str::to_owned));
        let stem = conv(spec(stem, [3, STEM], 3, 2))?;
        let (mut blocks, mut channels) = (Vec::new(), STEM);
        for (i, &Stage(count, kernel, stride, widening, outputs)) in STAGES.iter().enumerate() {
            for within in 0..count {
                let at = [blocks.len(), i, within];
                let stride = if within == 0 { stride } else { 1 };
                let inner = channels * widening;
                let expands = widening > 1;
                let expand = expands
                    .then(|| conv(spec(self.names(Part::Expand, at, expands), [channels, inner], 1, 1)))
                    .transpose()?;
                let depthwise =
                    spec(self.names(Part::Depthwise, at, expands), [inner, inner], kernel, stride);
                let depthwise = conv(Spec { depthwise: true, ..depthwise })?;
                let project = spec(self.names(Part::Project, at, expands), [inner, outputs], 1, 1);
                let project = conv(Spec { activation: Activation::Identity, ..project })?;
                let residual = stride == 1 && channels == outputs;
                blocks.push(Block { expand, depthwise, project, residual });
                channels = outputs;
            }
        }
        let head = conv(spec(head, [channels, DIMS], 1, 1))?;
        Ok(Net { stem, blocks, head })
    }

    fn others(&self, expected: ExpectedTensors) -> ExpectedTensors {
        let classifier = match self {
            Self::Release => "_fc.*",
            Self::Timm => "classifier.*",
        };
        expected.ignore(classifier).ignore("*.num_batches_tracked")
    }

    fn forward<E: Engine>(net: &Net<E::Conv>, engine: &E, x: E::Map) -> Vec<f32> {
        let mut x = engine.conv(&net.stem, &x);
        for block in &net.blocks {
            let wide = block.expand.as_ref().map(|expand| engine.conv(expand, &x));
            let filtered = engine.conv(&block.depthwise, wide.as_ref().unwrap_or(&x));
            let y = engine.conv(&block.project, &filtered);
            x = if block.residual { engine.add(y, &x) } else { y };
        }
        engine.means(&engine.conv(&net.head, &x))
    }
}

#[cfg(test)]
mod tests;
