use nextscale_core::{Error, Grid, Result, ScaleSchedule, memory};
use serde::{Deserialize, Serialize};

use crate::autoencoder::{Layout, NormGroups};

/// The architecture of a [`Vqvae`](super::Vqvae).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VqvaeConfig {
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
    /// Channels of the latents and the codes, Cz.
    pub latent_channels: usize,
    /// The number of codes, V.
    pub vocabulary: usize,
    /// The convolutions after the codes.
    pub phi: PhiKind,
    /// The weight of φ's convolution relative to the identity.
    pub phi_ratio: f64,
    /// Groups of every norm.
    pub norm_groups: usize,
}

/// Which scales share a φ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PhiKind {
    /// There is none.
    Identity,
    /// One for all scales.
    One,
    /// One per scale.
    PerScale,
    /// This many, of which each scale uses the nearest; see [`phi_index`](super::phi_index).
    Nearest(usize),
}

impl VqvaeConfig {
    /// A config of `channels` and `multipliers` with upstream's defaults for norm groups, φ ratio and number
    /// of codes: two blocks per level in the encoder, three in the decoder, attention at the last level and
    /// in the middle.
    pub fn new(channels: usize, multipliers: &[usize]) -> Self {
        let levels = multipliers.len();
        Self {
            channels,
            multipliers: multipliers.to_vec(),
            encoder_blocks: vec![2; levels],
            decoder_blocks: vec![3; levels],
            attention: (1..=levels).map(|level| level == levels).collect(),
            mid_attention: true,
            latent_channels: 32,
            vocabulary: 4096,
            phi: PhiKind::Nearest(4),
            phi_ratio: 0.5,
            norm_groups: 32,
        }
    }

    /// The published tokenizer, `vae_ch160v4096z32.pth`.
    pub fn published() -> Self {
        Self::new(160, &[1, 1, 2, 2, 4])
    }

    /// The sizes of encoder and decoder.
    pub fn layout(&self) -> Layout {
        Layout {
            channels: self.channels,
            multipliers: self.multipliers.clone(),
            encoder_blocks: self.encoder_blocks.clone(),
            decoder_blocks: self.decoder_blocks.clone(),
            attention: self.attention.clone(),
            mid_attention: self.mid_attention,
            latent_channels: self.latent_channels,
            norms: NormGroups::Fixed(self.norm_groups),
        }
    }

    /// How many pixels a latent spans along an axis.
    pub fn reduction(&self) -> usize {
        1 << (self.multipliers.len() - 1)
    }

    /// Height and width in pixels of the images whose latents lie on `grid`.
    pub fn image_size(&self, grid: Grid) -> (usize, usize) {
        (grid.height * self.reduction(), grid.width * self.reduction())
    }

    /// Checks the sizes for `schedule`.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the field.
    pub fn check(&self, schedule: &ScaleSchedule) -> Result<()> {
        self.layout().check()?;
        if self.vocabulary == 0 {
            return Err(Error::setting("vocabulary", "0; give at least 1"));
        }
        if self.phi == PhiKind::Nearest(0) {
            return Err(Error::setting("phi", "Nearest(0); give at least 1, or Identity"));
        }
        if !self.phi_ratio.is_finite() {
            return Err(Error::setting("phi_ratio", format!("{}; give a number like 0.5", self.phi_ratio)));
        }
        self.fits_in_memory(schedule)?;
        if schedule.last().positions() == 0 {
            return Err(Error::Schedule("the last scale is empty".into()));
        }
        Ok(())
    }

    /// Refuses sizes whose largest tensors alone, in f32, exceed the machine's memory; the
    /// autoencoder's are checked by its layout.
    fn fits_in_memory(&self, schedule: &ScaleSchedule) -> Result<()> {
        let last = schedule.last();
        let side = self.reduction();
        let phi = if let PhiKind::Nearest(count) = self.phi { count } else { 1 };
        for (field, size, sizes) in [
            ("vocabulary", self.vocabulary, [self.vocabulary, self.latent_channels].as_slice()),
            ("phi", phi, &[phi, 9, self.latent_channels, self.latent_channels]),
            ("scales", last.positions(), &[last.height, last.width, side, side, 3]),
        ] {
            memory::check(field, &format!("a tokenizer with {field} {size}"), memory::of_f32(sizes))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> ScaleSchedule {
        ScaleSchedule::square(&[1, 2, 4]).unwrap()
    }

    #[test]
    fn the_published_sizes_make_a_model() {
        VqvaeConfig::published().check(&schedule()).unwrap();
        assert_eq!(VqvaeConfig::published().image_size(Grid::new(16, 32)), (256, 512));
    }

    #[test]
    fn a_size_beyond_all_memory_is_named() {
        let good = VqvaeConfig::new(32, &[1, 2]);
        let huge = 1 << 50;
        for (config, field) in [
            (VqvaeConfig { channels: huge, ..good.clone() }, "channels"),
            (VqvaeConfig { multipliers: vec![1, huge], ..good.clone() }, "multipliers"),
            (VqvaeConfig { vocabulary: usize::MAX, ..good.clone() }, "vocabulary"),
            (VqvaeConfig { latent_channels: huge, ..good.clone() }, "latent_channels"),
            (VqvaeConfig { phi: PhiKind::Nearest(huge), ..good.clone() }, "phi"),
            (VqvaeConfig { encoder_blocks: vec![usize::MAX, 1], ..good.clone() }, "encoder_blocks"),
            (VqvaeConfig { decoder_blocks: vec![1, huge], ..good.clone() }, "decoder_blocks"),
        ] {
            let error = config.check(&schedule()).unwrap_err().to_string();
            assert!(error.starts_with(field) || field == "latent_channels", "{field}: {error}");
            assert!(error.contains("GB of memory"), "{error}");
        }
        let scales = ScaleSchedule::square(&[1, 60_000]).unwrap();
        let error = VqvaeConfig::new(32, &[1; 16]).check(&scales).unwrap_err().to_string();
        assert!(error.starts_with("scales"), "{error}");
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let good = VqvaeConfig::new(32, &[1, 2]);
        for (config, field) in [
            (VqvaeConfig { norm_groups: 24, ..good.clone() }, "norm_groups"),
            (VqvaeConfig { encoder_blocks: vec![1], ..good.clone() }, "encoder_blocks"),
            (VqvaeConfig { vocabulary: 0, ..good.clone() }, "vocabulary"),
            (VqvaeConfig { phi: PhiKind::Nearest(0), ..good.clone() }, "phi"),
            (VqvaeConfig::new(32, &[]), "multipliers"),
            (VqvaeConfig { multipliers: vec![1, 0], ..good.clone() }, "multipliers"),
        ] {
            let error = config.check(&schedule()).unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
