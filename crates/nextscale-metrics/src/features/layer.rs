//! Convolutions as checkpoints store them: a weight without bias, followed by a batch norm.

use nextscale_kernels::nhwc::{Activation, Window};
use nextscale_weights::{ExpectedTensors, WeightFile};

use crate::Result;

/// ε of every batch norm in these networks, which come from TensorFlow.
const EPSILON: f64 = 1e-3;

/// A convolution's description, and where a checkpoint has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The name of the convolution's weight, without `.weight`.
    pub conv: String,
    /// The batch norm's name.
    pub norm: String,
    /// Channels in and out; equal if `depthwise`.
    pub channels: [usize; 2],
    /// Whether every channel has its own kernel and sees no other channel.
    pub depthwise: bool,
    /// Where it looks.
    pub window: Window,
    /// The activation after the batch norm.
    pub activation: Activation,
}

impl Spec {
    fn shape(&self) -> [usize; 4] {
        let [inputs, outputs] = self.channels;
        let [height, width] = self.window.size;
        [outputs, if self.depthwise { 1 } else { inputs }, height, width]
    }

    /// Adds the convolution's tensors to what a checkpoint must contain.
    pub fn expect(&self, expected: &mut ExpectedTensors) {
        expected.insert(format!("{}.weight", self.conv), self.shape());
        for part in ["weight", "bias", "running_mean", "running_var"] {
            expected.insert(format!("{}.{part}", self.norm), [self.channels[1]]);
        }
    }

    /// The convolution with the batch norm folded in, γ/√(σ² + ε) into the weight and β − μ·γ/√(σ² + ε) into
    /// the bias, in f64.
    ///
    /// # Errors
    /// If a tensor cannot be read.
    pub fn read(&self, file: &WeightFile) -> Result<Layer> {
        let norm = |part: &str| Ok::<_, crate::Error>(file.weights(&format!("{}.{part}", self.norm))?.0);
        let (gamma, beta) = (norm("weight")?, norm("bias")?);
        let (mean, variance) = (norm("running_mean")?, norm("running_var")?);
        let (mut weight, _) = file.weights(&format!("{}.weight", self.conv))?;
        let kernel = weight.len() / gamma.len().max(1);
        let mut bias = Vec::with_capacity(beta.len());
        for (i, weight) in weight.chunks_exact_mut(kernel.max(1)).enumerate() {
            let scale = gamma[i] as f64 / (variance[i] as f64 + EPSILON).sqrt();
            weight.iter_mut().for_each(|w| *w = (*w as f64 * scale) as f32);
            bias.push((beta[i] as f64 - mean[i] as f64 * scale) as f32);
        }
        Ok(Layer { spec: self.clone(), weight, bias })
    }
}

/// A convolution with its numbers: weight `[out, in or 1, height, width]` and bias `[out]`.
#[derive(Debug, Clone)]
pub struct Layer {
    pub spec: Spec,
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}
