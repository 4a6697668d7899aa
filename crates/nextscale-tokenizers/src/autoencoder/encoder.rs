use burn::{
    module::Module,
    tensor::{Device, Tensor},
};
use nextscale_core::Dtype;

use super::{AttnBlock, Conv, Downsample, Layout, Norm, ResnetBlock};

/// From an image to latents, halving the size at every level but the last.
#[derive(Module, Debug)]
#[allow(missing_docs)] // upstream's names
pub struct Encoder {
    pub conv_in: Conv,
    /// Finest first.
    pub down: Vec<EncoderLevel>,
    pub mid: Mid,
    pub norm_out: Norm,
    pub conv_out: Conv,
}

/// The blocks of the encoder at one size.
#[derive(Module, Debug)]
#[allow(missing_docs)] // upstream's names
pub struct EncoderLevel {
    pub block: Vec<ResnetBlock>,
    /// One after each block, or none.
    pub attn: Vec<AttnBlock>,
    pub downsample: Option<Downsample>,
}

/// The blocks between the encoder and the latents, and between the latents and the decoder.
#[derive(Module, Debug)]
#[allow(missing_docs)] // upstream's names
pub struct Mid {
    pub block_1: ResnetBlock,
    pub attn_1: Option<AttnBlock>,
    pub block_2: ResnetBlock,
}

impl Encoder {
    pub(crate) fn new(config: &Layout, device: &Device) -> Self {
        let norms = config.norms;
        let mut channels = config.channels;
        let last = config.multipliers.len() - 1;
        let down = (0..=last)
            .map(|level| {
                let block: Vec<_> = (0..config.encoder_blocks[level])
                    .map(|_| {
                        let out = config.level_channels(level);
                        ResnetBlock::new(std::mem::replace(&mut channels, out), out, norms, device)
                    })
                    .collect();
                let attentions = if config.attention[level] { block.len() } else { 0 };
                EncoderLevel {
                    attn: (0..attentions).map(|_| AttnBlock::new(channels, norms, device)).collect(),
                    block,
                    downsample: (level < last).then(|| Downsample::new(channels, device)),
                }
            })
            .collect();
        Self {
            conv_in: Conv::new(3, 3, config.channels, device),
            down,
            mid: Mid::new(channels, config, device),
            norm_out: Norm::new(channels, norms, device),
            conv_out: Conv::new(3, channels, config.latent_channels, device),
        }
    }

    /// Sets the type in which 3×3 convolutions multiply, except in the first and last, which have few
    /// channels on one side.
    pub fn set_dtype(&mut self, dtype: Dtype) {
        self.mid.set_dtype(dtype);
        self.down.iter_mut().flat_map(|level| &mut level.block).for_each(|block| block.set_dtype(dtype));
        let downsamples = self.down.iter_mut().filter_map(|level| level.downsample.as_mut());
        downsamples.for_each(|downsample| downsample.conv.dtype = dtype);
    }

    /// `[batch, 3, H, W]` in [-1, 1] to `[batch, latent channels, h, w]`.
    pub fn forward(&self, image: Tensor<4>) -> Tensor<4> {
        let h = self.down.iter().fold(self.conv_in.forward(image), |h, level| level.forward(h));
        self.conv_out.forward(self.norm_out.silu(self.mid.forward(h), self.conv_out.stored()))
    }
}

impl EncoderLevel {
    /// The blocks, then the halving.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let h = blocks(&self.block, &self.attn, x);
        match &self.downsample {
            Some(downsample) => downsample.forward(h),
            None => h,
        }
    }
}

impl Mid {
    pub(crate) fn new(channels: usize, config: &Layout, device: &Device) -> Self {
        let norms = config.norms;
        Self {
            block_1: ResnetBlock::new(channels, channels, norms, device),
            attn_1: config.mid_attention.then(|| AttnBlock::new(channels, norms, device)),
            block_2: ResnetBlock::new(channels, channels, norms, device),
        }
    }

    pub(crate) fn set_dtype(&mut self, dtype: Dtype) {
        self.block_1.set_dtype(dtype);
        self.block_2.set_dtype(dtype);
    }

    /// `[batch, channels, h, w]` to the same.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let h = self.block_1.forward(x);
        let h = match &self.attn_1 {
            Some(attention) => attention.forward(h),
            None => h,
        };
        self.block_2.forward(h)
    }
}

/// The blocks of a level, each with its attention.
pub(crate) fn blocks(blocks: &[ResnetBlock], attentions: &[AttnBlock], x: Tensor<4>) -> Tensor<4> {
    blocks.iter().enumerate().fold(x, |h, (i, block)| {
        let h = block.forward(h);
        match attentions.get(i) {
            Some(attention) => attention.forward(h),
            None => h,
        }
    })
}
