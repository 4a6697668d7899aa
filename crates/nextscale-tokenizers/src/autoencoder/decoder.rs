use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nextscale_core::{Dtype, is_cpu};

use super::{
    AttnBlock, Conv, Layout, Mid, Norm, ResnetBlock, Upsample, encoder::blocks, parameters::stored_in,
};

/// From latents to an image, doubling the size at every level but the last to run.
#[derive(Module, Debug)]
#[allow(missing_docs)] // upstream's names
pub struct Decoder {
    pub conv_in: Conv,
    pub mid: Mid,
    /// By size, finest first; run from the back.
    pub up: Vec<DecoderLevel>,
    pub norm_out: Norm,
    pub conv_out: Conv,
}

/// The blocks of the decoder at one size.
#[derive(Module, Debug)]
#[allow(missing_docs)] // upstream's names
pub struct DecoderLevel {
    pub block: Vec<ResnetBlock>,
    /// One after each block, or none.
    pub attn: Vec<AttnBlock>,
    pub upsample: Option<Upsample>,
}

impl Decoder {
    pub(crate) fn new(config: &Layout, device: &Device) -> Self {
        let norms = config.norms;
        let last = config.multipliers.len() - 1;
        let top = config.level_channels(last);
        let mut channels = top;
        let mut up: Vec<_> = (0..=last)
            .rev()
            .map(|level| {
                let block: Vec<_> = (0..config.decoder_blocks[level])
                    .map(|_| {
                        let out = config.level_channels(level);
                        ResnetBlock::new(std::mem::replace(&mut channels, out), out, norms, device)
                    })
                    .collect();
                let attentions = if config.attention[level] { block.len() } else { 0 };
                DecoderLevel {
                    attn: (0..attentions).map(|_| AttnBlock::new(channels, norms, device)).collect(),
                    block,
                    upsample: (level > 0).then(|| Upsample::new(channels, device)),
                }
            })
            .collect();
        up.reverse();
        Self {
            conv_in: Conv::new(3, config.latent_channels, top, device),
            mid: Mid::new(top, config, device),
            up,
            norm_out: Norm::new(channels, norms, device),
            conv_out: Conv::new(3, channels, 3, device),
        }
    }

    /// `[batch, latent channels, h, w]` to `[batch, 3, H, W]`, roughly in [-1, 1], not clamped.
    pub fn forward(&self, latents: Tensor<4>) -> Tensor<4> {
        let h = self.mid.forward(self.conv_in.forward(latents));
        let h = self.up.iter().rev().fold(h, |h, level| level.forward(h));
        self.conv_out.forward(self.norm_out.silu(h, self.conv_out.stored()))
    }
}

impl Decoder {
    /// The same decoder for generation: on the CPU 3×3 convolutions multiply in `dtype` if the processor supports it; on
    /// other devices feature maps and the weights of all convolutions have that type. The last convolution, which
    /// produces the image, stays f32, and so do norms.
    pub(crate) fn decoding_in(mut self, dtype: Dtype) -> Self {
        if is_cpu(&self.conv_in.bias.lazy_device()) {
            self.set_dtype(dtype);
            return self;
        }
        // Modules are mapped by value; a convolution that is not mapped stays as it is.
        let conv_out = self.conv_out.clone();
        Self { conv_out, ..stored_in(self, dtype.stored()) }
    }

    /// Sets the type in which 3×3 convolutions multiply, except in the last, which produces the image.
    pub fn set_dtype(&mut self, dtype: Dtype) {
        self.mid.set_dtype(dtype);
        self.up.iter_mut().flat_map(|level| &mut level.block).for_each(|block| block.set_dtype(dtype));
        let upsamples = self.up.iter_mut().filter_map(|level| level.upsample.as_mut());
        upsamples.for_each(|upsample| upsample.conv.dtype = dtype);
        self.conv_in.dtype = dtype;
    }
}

impl DecoderLevel {
    /// The blocks, then the doubling.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let h = blocks(&self.block, &self.attn, x);
        match &self.upsample {
            Some(upsample) => upsample.forward(h),
            None => h,
        }
    }
}
