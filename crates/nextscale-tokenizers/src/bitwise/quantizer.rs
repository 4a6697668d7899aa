use burn::tensor::{Bool, Tensor};

use super::{
    Scales,
    code::{bits, codes, normalised},
};

/// The quantiser's results.
#[derive(Debug, Clone)]
pub struct Quantized {
    /// The quantised features `[batch, bits, H, W]` on the canvas. Their gradient passes straight through
    /// every scale's code to its unit vector, and from there to f.
    pub f_hat: Tensor<4>,
    /// The quantised residual of every scale, normalised to length 1: `[batch, bits, h, w]` on the scale's
    /// grid of latents.
    pub units: Vec<Tensor<4>>,
    /// The bits of every scale, in the same shape.
    pub bits: Vec<Tensor<4, Bool>>,
}

/// Quantises features f `[batch, bits, H, W]` on the canvas, scale by scale, each time the residual
/// of the earlier scales.
pub(super) fn quantize(f: Tensor<4>, scales: &Scales) -> Quantized {
    let mut rest = f.clone();
    let mut f_hat = f.zeros_like();
    let (mut units, mut all) = (Vec::new(), Vec::new());
    for k in 0..scales.len() {
        let unit = normalised(scales.down(k).apply(rest.clone()));
        let bits = bits(unit.clone().inner());
        // Upstream's sum, which is exact only up to rounding, like the code.
        let straight = unit.clone() + (codes(bits.clone().float()) - unit.clone().inner());
        let added = scales.up(k).apply(straight);
        rest = rest - added.clone().inner();
        f_hat = f_hat + added;
        units.push(unit);
        all.push(bits);
    }
    Quantized { f_hat, units, bits: all }
}
