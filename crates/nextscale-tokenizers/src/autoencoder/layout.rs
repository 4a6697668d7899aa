use nextscale_core::{Error, Result, memory};

/// The sizes of an [`Encoder`](super::Encoder) and its [`Decoder`](super::Decoder).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Channels of the finest level; the multipliers scale them.
    pub channels: usize,
    /// Each level's channels divided by `channels`, finest first; each level but the last halves the size.
    pub multipliers: Vec<usize>,
    /// Residual blocks per level of the encoder.
    pub encoder_blocks: Vec<usize>,
    /// Residual blocks per level of the decoder.
    pub decoder_blocks: Vec<usize>,
    /// Whether each level has attention after each of its blocks.
    pub attention: Vec<bool>,
    /// Whether there is attention between the two middle blocks.
    pub mid_attention: bool,
    /// Channels of the latents.
    pub latent_channels: usize,
    /// The groups of every norm.
    pub norms: NormGroups,
}

/// The number of groups of a norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormGroups {
    /// This many in every norm.
    Fixed(usize),
    /// 32, or 24 if only 24 divides the channels.
    ByChannels,
}

impl NormGroups {
    /// The groups of a norm over `channels`.
    pub fn of(self, channels: usize) -> usize {
        match self {
            Self::Fixed(groups) => groups,
            Self::ByChannels if !channels.is_multiple_of(32) && channels.is_multiple_of(24) => 24,
            Self::ByChannels => 32,
        }
    }
}

impl Layout {
    /// Channels of a level.
    pub fn level_channels(&self, level: usize) -> usize {
        self.channels * self.multipliers[level]
    }

    /// How many pixels a latent spans along an axis.
    pub fn reduction(&self) -> usize {
        1 << (self.multipliers.len() - 1)
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the field.
    pub fn check(&self) -> Result<()> {
        let levels = self.multipliers.len();
        if levels == 0 || levels > 16 {
            return Err(Error::setting(
                "multipliers",
                format!("{levels} levels; give 1 to 16, like [1, 2, 2]"),
            ));
        }
        for (field, found) in [
            ("encoder_blocks", self.encoder_blocks.len()),
            ("decoder_blocks", self.decoder_blocks.len()),
            ("attention", self.attention.len()),
        ] {
            if found != levels {
                return Err(Error::setting(
                    field,
                    format!("{found} entries for {levels} levels; give one per level"),
                ));
            }
        }
        for (field, value) in [
            ("channels", self.channels),
            ("latent_channels", self.latent_channels),
            ("norm_groups", self.norms.of(self.channels)),
            ("multipliers", self.multipliers.iter().copied().min().unwrap_or(0)),
        ] {
            if value == 0 {
                return Err(Error::setting(field, "0; give at least 1"));
            }
        }
        self.fits_in_memory()?;
        for width in std::iter::once(self.channels).chain((0..levels).map(|level| self.level_channels(level)))
        {
            let groups = self.norms.of(width);
            if width % groups != 0 {
                return Err(Error::setting(
                    "norm_groups",
                    format!("{groups} does not divide the {width} channels of a level"),
                ));
            }
        }
        Ok(())
    }

    /// A lower bound on the number of weights: those of each block's second convolution, and of the
    /// middle blocks of encoder and decoder.
    pub fn weights(&self) -> u128 {
        let square = |level: usize| (self.level_channels(level) as u128).pow(2);
        let blocks = |level: usize| (self.encoder_blocks[level] as u128) + self.decoder_blocks[level] as u128;
        let levels = self.multipliers.len();
        let of_levels: u128 = (0..levels).map(|level| 9 * square(level) * blocks(level)).sum();
        of_levels + levels.checked_sub(1).map_or(0, |last| 72 * square(last))
    }

    /// A lower bound on the bytes that a training step keeps for an image of `side` × `side`
    /// pixels: the outputs of both convolutions of every block.
    pub fn bytes_of_image(&self, side: usize) -> u128 {
        let of_level = |level: usize| {
            let blocks = self.encoder_blocks[level].saturating_add(self.decoder_blocks[level]);
            memory::of_f32(&[2, blocks, self.level_channels(level), side >> level, side >> level])
        };
        (0..self.multipliers.len()).map(of_level).fold(0, u128::saturating_add)
    }

    /// Refuses sizes whose largest tensors alone, in f32, exceed the machine's memory.
    fn fits_in_memory(&self) -> Result<()> {
        let widest = self.multipliers.iter().copied().max().unwrap_or(1);
        let blocks = |blocks: &[usize]| blocks.iter().fold(0_usize, |sum, &count| sum.saturating_add(count));
        let (encoder, decoder) = (blocks(&self.encoder_blocks), blocks(&self.decoder_blocks));
        let (channels, latent) = (self.channels, self.latent_channels);
        for (field, size, sizes) in [
            ("channels", channels, [9, channels, channels].as_slice()),
            ("multipliers", widest, &[9, channels, channels, widest, widest]),
            ("latent_channels", latent, &[9, latent, latent]),
            ("encoder_blocks", encoder, &[9, channels, channels, 2, encoder]),
            ("decoder_blocks", decoder, &[9, channels, channels, 2, decoder]),
        ] {
            memory::check(field, &format!("a tokenizer with {field} {size}"), memory::of_f32(sizes))?;
        }
        let all = self.weights();
        memory::check("model", &format!("an autoencoder of {all} weights"), all.saturating_mul(4))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_follow_the_channels_where_they_are_not_fixed() {
        let groups = |channels| NormGroups::ByChannels.of(channels);
        assert_eq!([32, 128, 96, 48, 72, 40].map(groups), [32, 32, 32, 24, 24, 32]);
        assert_eq!(NormGroups::Fixed(4).of(48), 4);
    }
}
