use nextscale_core::{Error, Result, ScaleSchedule, memory};
use serde::{Deserialize, Serialize};

use crate::autoencoder::{Layout, NormGroups};

/// The architecture of a [`BsqVae`](super::BsqVae).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BsqVaeConfig {
    /// Channels of the finest level; the multipliers scale them.
    pub channels: usize,
    /// Each level's channels divided by `channels`, finest first; each level but the last halves the size.
    pub multipliers: Vec<usize>,
    /// Residual blocks per level of the encoder.
    pub encoder_blocks: Vec<usize>,
    /// Residual blocks per level of the decoder.
    pub decoder_blocks: Vec<usize>,
    /// Bits per latent, which equal its channels, d.
    pub bits: usize,
    /// Groups of every norm; by default upstream's, 32, or 24 if only that divides the channels.
    pub norm_groups: Option<usize>,
}

impl BsqVaeConfig {
    /// Two blocks per level in the encoder, three in the decoder.
    pub fn new(channels: usize, multipliers: &[usize], bits: usize) -> Self {
        let levels = multipliers.len();
        Self {
            channels,
            multipliers: multipliers.to_vec(),
            encoder_blocks: vec![2; levels],
            decoder_blocks: vec![3; levels],
            bits,
            norm_groups: None,
        }
    }

    /// The published tokenizer with this many bits per latent: 16, 24, 32 and 64 at 16 pixels per latent, 14
    /// at 8 pixels.
    ///
    /// # Errors
    /// If none was published.
    pub fn published(bits: usize) -> Result<Self> {
        match bits {
            16 | 24 | 32 | 64 => Ok(Self::new(128, &[1, 2, 4, 4, 4], bits)),
            14 => Ok(Self::new(128, &[1, 2, 4, 4], bits)),
            _ => Err(Error::setting(
                "bits",
                format!("no tokenizer with {bits} bits was published; choose 14, 16, 24, 32 or 64"),
            )),
        }
    }

    /// How many pixels a latent spans along an axis.
    pub fn reduction(&self) -> usize {
        self.layout().reduction()
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the field.
    pub fn check(&self) -> Result<()> {
        if self.bits == 0 {
            return Err(Error::setting("bits", "0; give at least 1"));
        }
        self.layout().check()
    }

    /// Checks that the images of `schedule` are not beyond all memory.
    ///
    /// # Errors
    /// [`Error::Setting`] with what they would take.
    pub fn check_scales(&self, schedule: &ScaleSchedule) -> Result<()> {
        let (last, side) = (schedule.last(), self.reduction());
        let bytes = memory::of_f32(&[last.height, last.width, side, side, 3]);
        memory::check("scales", &format!("an image of {last} tokens"), bytes)
    }

    /// The sizes of encoder and decoder.
    pub fn layout(&self) -> Layout {
        Layout {
            channels: self.channels,
            multipliers: self.multipliers.clone(),
            encoder_blocks: self.encoder_blocks.clone(),
            decoder_blocks: self.decoder_blocks.clone(),
            attention: vec![false; self.multipliers.len()],
            mid_attention: false,
            latent_channels: self.bits,
            norms: self.norm_groups.map_or(NormGroups::ByChannels, NormGroups::Fixed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_tokenizers_have_their_reduction() {
        for (bits, reduction) in [(16, 16), (24, 16), (32, 16), (64, 16), (14, 8)] {
            let config = BsqVaeConfig::published(bits).unwrap();
            config.check().unwrap();
            assert_eq!(config.reduction(), reduction);
        }
        assert!(BsqVaeConfig::published(18).unwrap_err().to_string().contains("14, 16, 24, 32 or 64"));
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let good = BsqVaeConfig::new(32, &[1, 2], 8);
        for (config, field) in [
            (BsqVaeConfig { bits: 0, ..good.clone() }, "bits"),
            (BsqVaeConfig { channels: 20, ..good.clone() }, "norm_groups"),
            (BsqVaeConfig { norm_groups: Some(0), ..good.clone() }, "norm_groups"),
            (BsqVaeConfig { decoder_blocks: vec![1], ..good }, "decoder_blocks"),
        ] {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
