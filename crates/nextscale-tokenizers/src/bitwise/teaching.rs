use burn::tensor::{Bool, Int, Tensor};
use nextscale_core::{Error, Result};

use super::{
    MultiScaleBsq,
    code::{bits, codes},
    patch,
};
use crate::positions::positions;

/// A transformer's training material: its inputs, and the bits to predict.
#[derive(Debug, Clone)]
pub struct Teaching {
    /// The bits of every scale, `[batch, h·w, bits per token]`.
    pub labels: Vec<Tensor<3, Int>>,
    /// The inputs of scales 1 to the last, concatenated: `[batch, L - p₀, bits per token]`.
    pub inputs: Tensor<3>,
}

impl MultiScaleBsq {
    /// Labels and inputs for teacher forcing from features f `[batch, bits, H, W]` on the canvas,
    /// with bitwise self-correction: where `flips`, `[batch, bits, h, w]` on the latents of the
    /// first scales, are set, the canvas gets the flipped bit, and the labels of later scales
    /// quantise the remaining residual. Without flips it is plain teacher forcing. Everything is
    /// outside of autodiff.
    ///
    /// # Errors
    /// If features or flips do not fit, or there is only one scale, which has no input.
    pub fn teach(&self, f: Tensor<4>, flips: &[Tensor<4, Bool>]) -> Result<Teaching> {
        let scales = self.scales();
        let count = scales.len();
        if count < 2 {
            return Err(Error::Unsupported(
                "teacher forcing over one scale; it takes at least two, as the first has no input".into(),
            ));
        }
        let f = f.inner();
        self.on_canvas("the features", &f)?;
        let mut canvas = f.zeros_like();
        let (mut labels, mut inputs) = (Vec::new(), Vec::new());
        for k in 0..count {
            let coded = bits(scales.down(k).apply(f.clone() - canvas.clone()));
            labels.push(self.tokens(coded.clone()));
            if k + 1 == count {
                break;
            }
            let seen = match flips.get(k) {
                None => coded,
                Some(flip) if flip.dims() == coded.dims() => coded.bool_xor(flip.clone()),
                Some(flip) => {
                    let expected = format!("{:?}", coded.dims());
                    return Err(Error::shape(format!("the flips of scale {k}"), expected, &flip.dims()));
                }
            };
            canvas = canvas + scales.up(k).apply(codes(seen.float()));
            inputs.push(self.input(canvas.clone(), k + 1));
        }
        Ok(Teaching { labels, inputs: Tensor::cat(inputs, 1) })
    }

    /// Bits on latents as tokens `[batch, h·w, bits per token]`.
    pub(super) fn tokens(&self, bits: Tensor<4, Bool>) -> Tensor<3, Int> {
        let bits = bits.float();
        positions(if self.scales().patches() { patch::close(bits) } else { bits }).int()
    }

    /// The transformer's input at scale `k` of a canvas.
    pub(super) fn input(&self, canvas: Tensor<4>, k: usize) -> Tensor<3> {
        let input = self.scales().next(k).apply(canvas);
        positions(if self.scales().patches() { patch::close(input) } else { input })
    }
}
