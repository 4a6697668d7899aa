use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nextscale_kernels::{is_half, matmul, product, softmax, softmax_in};

use super::{Conv, Norm, NormGroups};

/// Single-head attention over all positions of a feature map, with a shortcut.
#[derive(Module, Debug)]
#[allow(missing_docs)] // upstream's names
pub struct AttnBlock {
    pub norm: Norm,
    /// To queries, keys and values, in consecutive blocks of channels.
    pub qkv: Conv,
    pub proj_out: Conv,
}

impl AttnBlock {
    pub(crate) fn new(channels: usize, norms: NormGroups, device: &Device) -> Self {
        Self {
            norm: Norm::new(channels, norms, device),
            qkv: Conv::new(1, channels, 3 * channels, device),
            proj_out: Conv::new(1, channels, channels, device),
        }
    }

    /// `[batch, channels, h, w]` to the same.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let stored = self.qkv.stored();
        let qkv = self.qkv.forward(self.norm.forward(x.clone(), stored));
        let [q, k, v] = [0, 1, 2].map(|part| {
            let from = part * channels;
            qkv.clone().slice([0..batch, from..from + channels]).reshape([batch, channels, height * width])
        });
        // w[i, j] = softmax over j of q_i · k_j / √channels
        let scale = (channels as f64).powf(-0.5);
        let weights = match is_half(stored) {
            // Scores are f32, and rounded once.
            true => softmax_in(product(q.swap_dims(1, 2), k) * scale, stored),
            false => softmax(matmul((q * scale).swap_dims(1, 2), k)),
        };
        let mixed = matmul(v, weights.swap_dims(1, 2));
        x + self.proj_out.forward(mixed.reshape([batch, channels, height, width]))
    }
}
