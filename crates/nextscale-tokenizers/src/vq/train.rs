use burn::tensor::{Int, Tensor};

use super::{Quantizer, Scales};
use crate::positions::positions;

/// The weight of the commitment term (β).
const COMMITMENT: f64 = 0.25;

/// The quantiser's results in training.
#[derive(Debug, Clone)]
pub struct QuantizeOutput {
    /// The quantised features `[batch, channels, H, W]`. Their gradient passes straight through to f, and to
    /// nothing else.
    pub f_hat: Tensor<4>,
    /// The quantiser's loss, `[1]`. Its gradient reaches f, φ and the codes.
    pub loss: Tensor<1>,
    /// The tokens of every scale, `[batch, h·w]`.
    pub tokens: Vec<Tensor<2, Int>>,
    /// The residual that was quantised at every scale, `[batch, h·w, channels]`, outside of autodiff: new
    /// values for dead codes.
    pub residuals: Vec<Tensor<3>>,
}

impl Quantizer {
    /// Quantises f `[batch, channels, H, W]` on the last grid, for training:
    /// loss = mean over scales of β·mse(f̂_k without gradient, f) + mse(f̂_k, f without gradient), β = 0.25.
    pub fn quantize_train(&self, f: Tensor<4>, scales: &Scales) -> QuantizeOutput {
        let target = f.clone().inner();
        let (mut rest, mut f_hat) = (target.clone(), target.zeros_like());
        let (mut tokens, mut residuals, mut losses) = (Vec::new(), Vec::new(), Vec::new());
        for k in 0..scales.len() {
            let z = positions(scales.down(k).apply(rest.clone()));
            let chosen = self.embedding.nearest(z.clone());
            let embedding = self.embedding.embed(chosen.clone(), scales.schedule().grid(k));
            let added = self.residual(embedding, k, scales);
            rest = rest - added.clone().inner();
            f_hat = f_hat + added;
            let codes = (f_hat.clone() - target.clone()).square().mean();
            let commitment = (f.clone() - f_hat.clone().inner()).square().mean();
            losses.push(commitment * COMMITMENT + codes);
            tokens.push(chosen);
            residuals.push(z);
        }
        let loss = Tensor::cat(losses, 0).mean();
        // The value is f̂'s, summed as upstream sums it: (f̂ - f) + f.
        let gap = f_hat.inner() - target;
        QuantizeOutput { f_hat: f + gap, loss, tokens, residuals }
    }
}
