//! A network that judges every patch of an image: photograph or reconstruction.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use nextscale_core::{Dtype, memory};
use nextscale_kernels::{conv2d_3x3, silu};

use crate::layer::{GROUP, Layer, fresh, halve, zeros};
use crate::params::replace;
use crate::{Error, Result};

/// The patch discriminator of Isola and others, 2017 ("Image-to-Image Translation with Conditional
/// Adversarial Networks"): two halvings and four convolutions, so that a score covers 26 × 26 pixels.
/// Halvings are means rather than strides, and norms are over groups rather than batches, so that an image's
/// scores do not depend on other images.
#[derive(Module, Debug)]
pub struct Discriminator {
    /// Without a norm, which would hide the strength of edges from later layers.
    edges: Param<Tensor<4>>,
    edges_bias: Param<Tensor<1>>,
    half: Layer,
    quarter: Layer,
    score: Param<Tensor<4>>,
    score_bias: Param<Tensor<1>>,
}

impl Discriminator {
    /// The sides of an image must be multiples of this many pixels.
    pub const GRANULARITY: usize = 4;

    /// A network with `channels` at full size and twice as many from the first halving on; `seed` determines
    /// its weights.
    ///
    /// # Errors
    /// [`Error::Setting`] for channels that no norm divides.
    pub fn init(channels: usize, seed: u64, device: &Device) -> Result<Self> {
        check_channels(channels)?;
        let wide = 2 * channels;
        let empty = Self {
            edges: zeros([channels, 3, 3, 3], device),
            edges_bias: zeros([channels], device),
            half: Layer::new(channels, wide, device),
            quarter: Layer::new(wide, wide, device),
            score: zeros([1, wide, 3, 3], device),
            score_bias: zeros([1], device),
        };
        Ok(replace(empty, |parameter| Some(fresh(seed, &parameter))))
    }

    /// The same network with convolutions multiplying in `dtype`, if they have enough channels and the
    /// processor supports it.
    #[must_use]
    pub fn computing_in(mut self, dtype: Dtype) -> Self {
        self.half.dtype = dtype;
        self.quarter.dtype = dtype;
        self
    }

    /// Images `[batch, 3, h, w]` in [-1, 1] to scores `[batch, 1, h/4, w/4]`, high for what looks like a
    /// photograph.
    pub fn scores(&self, images: Tensor<4>) -> Tensor<4> {
        let x = silu(conv2d_3x3(images, self.edges.val(), Some(self.edges_bias.val())));
        let x = self.half.forward(halve(x));
        let x = self.quarter.forward(halve(x));
        conv2d_3x3(x, self.score.val(), Some(self.score_bias.val()))
    }
}

/// Checks what the norms require.
pub fn check_channels(channels: usize) -> Result<()> {
    if channels == 0 || !channels.is_multiple_of(GROUP) {
        return Err(Error::setting(
            "adversarial.channels",
            format!("{channels} is not a multiple of {GROUP}; give one, like 32"),
        ));
    }
    let bytes = (channels as u128).saturating_mul(channels as u128).saturating_mul(64);
    memory::check("adversarial.channels", &format!("a discriminator of {channels} channels"), bytes)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;

    #[test]
    fn a_score_is_of_its_patch_of_its_image() {
        let device = Device::flex();
        let network = Discriminator::init(8, 3, &device).unwrap();
        let images = Tensor::<4>::random([2, 3, 16, 8], Distribution::Uniform(-1.0, 1.0), &device);
        let scores = network.scores(images.clone());
        assert_eq!(scores.dims(), [2, 1, 4, 2]);
        let alone = network.scores(images.slice_dim(0, 1..2)).into_data();
        assert_eq!(scores.slice_dim(0, 1..2).into_data(), alone);
    }
}
