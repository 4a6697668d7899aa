use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nextscale_core::Dtype;

use super::{Conv, Norm, NormGroups};

/// Two convolutions, each after norm and SiLU, with a shortcut.
#[derive(Module, Debug)]
#[allow(missing_docs)] // upstream's names
pub struct ResnetBlock {
    pub norm1: Norm,
    pub conv1: Conv,
    pub norm2: Norm,
    pub conv2: Conv,
    /// A 1×1 convolution if the number of channels changes, otherwise the identity.
    pub nin_shortcut: Option<Conv>,
}

impl ResnetBlock {
    pub(crate) fn new(input: usize, out: usize, norms: NormGroups, device: &Device) -> Self {
        Self {
            norm1: Norm::new(input, norms, device),
            conv1: Conv::new(3, input, out, device),
            norm2: Norm::new(out, norms, device),
            conv2: Conv::new(3, out, out, device),
            nin_shortcut: (input != out).then(|| Conv::new(1, input, out, device)),
        }
    }

    pub(crate) fn set_dtype(&mut self, dtype: Dtype) {
        self.conv1.dtype = dtype;
        self.conv2.dtype = dtype;
    }

    /// `[batch, in, h, w]` to `[batch, out, h, w]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let h = self.conv1.forward(self.norm1.silu(x.clone(), self.conv1.stored()));
        let h = self.conv2.forward(self.norm2.silu(h, self.conv2.stored()));
        match &self.nin_shortcut {
            Some(shortcut) => shortcut.forward(x) + h,
            None => x + h,
        }
    }
}
