use nextscale_core::{Error, Result, ScaleSchedule, memory};
use serde::{Deserialize, Serialize};

use crate::autoencoder::{Layout, NormGroups};

/// The architecture of a [`BsqVae`](super::BsqVae).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BsqVaeConfig {
    /// Channels of the finest level, which the multipliers multiply.
    pub channels: usize,
    /// Channels of every level over `channels`, finest first; each level but the last halves the size.
    pub multipliers: Vec<usize>,
    /// Residual blocks a level of the encoder.
    pub encoder_blocks: Vec<usize>,
    /// Residual blocks a level of the decoder.
    pub decoder_blocks: Vec<usize>,
    /// Bits of a latent, which are its channels, d.
    pub bits: usize,
    /// Groups of every norm; by default upstream's, 32, and 24 where only that divides the channels.
    pub norm_groups: Option<usize>,
}

impl BsqVaeConfig {
    /// Two blocks a level of the encoder, three of the decoder.
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

    /// The published tokenizer of so many bits a latent: 16, 24, 32 and 64 at 16 pixels a latent, 14 at 8 pixels.
    ///
    /// # Errors
    /// If none was published.
    pub fn published(bits: usize) -> Result<Self> {
        match bits {
            16 | 24 | 32 | 64 => Ok(Self::new(128, &[1, 2, 4, 4, 4], bits)),
            14 => Ok(Self::new(128, &[1, 2, 4, 4], bits)),
            _ => Err(Error::setting(
                "bits",
                format!("{bits} are no published tokenizer's; they are 14, 16, 24, 32 and 64"),
            )),
        }
    }

    /// How many pixels a latent spans on an axis.
    pub fn reduction(&self) -> usize {
        self.layout().reduction()
    }

    /// Checks that the sizes make a model.
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
        assert!(BsqVaeConfig::published(18).unwrap_err().to_string().contains("14, 16, 24, 32 and 64"));
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
