use burn::{
    module::Module,
    tensor::{
        Device, Tensor,
        module::{conv2d, interpolate},
        ops::{ConvOptions, InterpolateMode, InterpolateOptions},
    },
};
use nextscale_core::Dtype;
use nextscale_kernels::is_fixed;

use super::Conv;

/// Halves a feature map with a convolution.
#[derive(Module, Debug)]
pub struct Downsample {
    /// 3×3, stride 2.
    pub conv: Conv,
}

impl Downsample {
    pub(crate) fn new(channels: usize, device: &Device) -> Self {
        Self { conv: Conv::new(3, channels, channels, device) }
    }

    /// `[batch, channels, h, w]` to `[batch, channels, ⌊h/2⌋, ⌊w/2⌋]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let even = height.is_multiple_of(2) && width.is_multiple_of(2);
        if self.conv.dtype == Dtype::Bf16 && even || is_fixed() {
            // The same sums: a convolution with stride 1 has them at its odd rows and columns.
            let all = self.conv.forward(x);
            let all = all.slice([0..batch, 0..channels, 0..height / 2 * 2, 0..width / 2 * 2]);
            let all = all.reshape([batch * channels, height / 2, 2, width / 2, 2]);
            let odd = all.slice([0..batch * channels, 0..height / 2, 1..2, 0..width / 2, 1..2]);
            return odd.reshape([batch, channels, height / 2, width / 2]);
        }
        // Upstream pads right and bottom only.
        let options = ConvOptions::new_with_padding([2, 2], [(0, 1), (0, 1)], [1, 1], 1);
        conv2d(x, self.conv.weight.val(), Some(self.conv.bias.val()), options)
    }
}

/// Doubles a feature map by nearest neighbours, then convolves.
#[derive(Module, Debug)]
pub struct Upsample {
    /// 3×3.
    pub conv: Conv,
}

impl Upsample {
    pub(crate) fn new(channels: usize, device: &Device) -> Self {
        Self { conv: Conv::new(3, channels, channels, device) }
    }

    /// `[batch, channels, h, w]` to `[batch, channels, 2h, 2w]`.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, _, height, width] = x.dims();
        let options = InterpolateOptions::new(InterpolateMode::Nearest)
            .with_align_corners(false)
            .with_output_size([2 * height, 2 * width]);
        self.conv.forward(interpolate(x, options))
    }
}
