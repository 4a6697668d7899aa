use nextscale_core::{Error, Pass, Result, ScaleSchedule, memory};
use serde::{Deserialize, Serialize};

use crate::transformer::{AdaLn, AttentionKind, streams};

/// The scales of the published 256-pixel models.
pub const SCALES_256: [usize; 10] = [1, 2, 3, 4, 5, 6, 8, 10, 13, 16];
/// The scales of the published 512-pixel model.
pub const SCALES_512: [usize; 10] = [1, 2, 3, 4, 6, 9, 13, 18, 24, 32];

/// The architecture of a VAR transformer ("Visual Autoregressive Modeling", NeurIPS 2024).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VarConfig {
    /// The scales, coarse to fine.
    pub schedule: ScaleSchedule,
    /// Blocks.
    pub depth: usize,
    /// Channels of the hidden states, C.
    pub width: usize,
    /// Attention heads; they must divide the width.
    pub heads: usize,
    /// Channels inside the MLP, 4·C in every published model.
    pub hidden: usize,
    /// Codes of the tokenizer, V.
    pub vocabulary: usize,
    /// Classes, without the null class.
    pub classes: usize,
    /// Channels of the tokenizer's features, Cz.
    pub feature_channels: usize,
    /// Where the blocks' modulation comes from.
    pub ada_ln: AdaLn,
    /// How attention computes its scores.
    pub attention: AttentionKind,
}

/// A lower bound on what a block takes besides its weights, in f32 values.
const BLOCK: u128 = 256;

impl VarConfig {
    /// Checks that a model of this size can run a pass: that it has the blocks that the pass mixes or
    /// perturbs.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the layer that does not exist.
    pub fn runs(&self, pass: &Pass) -> Result<()> {
        streams::runs(pass, self.depth)
    }

    /// A model in upstream's proportions: width 64·depth in heads of 64 channels, MLP ratio 4, L2-normalised
    /// attention, AdaLN per block, 1000 classes, 4096 codes of 32 channels.
    pub fn new(depth: usize, schedule: ScaleSchedule) -> Self {
        Self {
            schedule,
            depth,
            width: 64 * depth,
            heads: depth,
            hidden: 256 * depth,
            vocabulary: 4096,
            classes: 1000,
            feature_channels: 32,
            ada_ln: AdaLn::PerBlock,
            attention: AttentionKind::L2,
        }
    }

    /// The published model of this depth: 16, 20, 24 and 30 at 256 pixels, 36 (shared AdaLN) at 512.
    ///
    /// # Errors
    /// If no model of this depth was published.
    pub fn published(depth: usize) -> Result<Self> {
        match depth {
            16 | 20 | 24 | 30 => Ok(Self::new(depth, ScaleSchedule::square(&SCALES_256)?)),
            36 => Ok(Self { ada_ln: AdaLn::Shared, ..Self::new(depth, ScaleSchedule::square(&SCALES_512)?) }),
            _ => Err(Error::setting(
                "depth",
                format!("{depth} was not published; choose 16, 20, 24, 30 or 36"),
            )),
        }
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the field.
    pub fn check(&self) -> Result<()> {
        let sizes = [
            ("depth", self.depth),
            ("width", self.width),
            ("heads", self.heads),
            ("hidden", self.hidden),
            ("vocabulary", self.vocabulary),
            ("classes", self.classes),
            ("feature_channels", self.feature_channels),
        ];
        if let Some((field, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(Error::setting(*field, "is 0; it must be at least 1"));
        }
        if !self.width.is_multiple_of(self.heads) {
            return Err(Error::setting(
                "heads",
                format!("{} does not divide the width {}", self.heads, self.width),
            ));
        }
        // The largest tensors, in f32, checked one by one so that the error names the field that is too
        // large.
        let [depth, width, hidden, vocabulary, classes, channels] =
            [self.depth, self.width, self.hidden, self.vocabulary, self.classes, self.feature_channels]
                .map(|size| size as u128);
        let product = |sizes: [u128; 4]| sizes.iter().fold(4_u128, |bytes, size| bytes.saturating_mul(*size));
        for (field, size, bytes) in [
            ("width", self.width, product([width, width, 4, 1])),
            ("hidden", self.hidden, product([width, hidden, 2, 1])),
            ("vocabulary", self.vocabulary, product([vocabulary, width, 1, 1])),
            ("classes", self.classes, product([classes, width, 1, 1])),
            ("feature_channels", self.feature_channels, product([channels, width, 1, 1])),
            ("scales", self.schedule.positions(), product([self.schedule.positions() as u128, width, 1, 1])),
            (
                "depth",
                self.depth,
                product([depth, width.saturating_mul(2 * hidden + 4 * width) + BLOCK, 1, 1]),
            ),
        ] {
            memory::check(field, &format!("a transformer with {field} {size}"), bytes)?;
        }
        Ok(())
    }

    /// A lower bound on the bytes that a training step keeps for an image of this many positions: the
    /// activations of attention and the MLP in every block, and the logits.
    pub fn bytes_of_image(&self, positions: usize) -> u128 {
        let of_blocks = memory::of_f32(&[positions, self.depth, self.width]).saturating_mul(2);
        let of_mlps = memory::of_f32(&[positions, self.depth, self.hidden]);
        of_blocks.saturating_add(of_mlps).saturating_add(memory::of_f32(&[positions, self.vocabulary]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_models_have_upstreams_proportions() {
        let d16 = VarConfig::published(16).unwrap();
        assert_eq!((d16.width, d16.heads, d16.hidden, d16.schedule.positions()), (1024, 16, 4096, 680));
        let d36 = VarConfig::published(36).unwrap();
        assert_eq!((d36.width, d36.ada_ln, d36.schedule.positions()), (2304, AdaLn::Shared, 2240));
        assert!(VarConfig::published(17).is_err());
    }

    #[test]
    fn sizes_that_make_no_model_are_named() {
        let config = VarConfig { heads: 3, ..VarConfig::published(16).unwrap() };
        assert!(config.check().unwrap_err().to_string().contains("heads: 3 does not divide the width 1024"));
        let config = VarConfig { vocabulary: 0, ..VarConfig::published(16).unwrap() };
        assert!(config.check().unwrap_err().to_string().starts_with("vocabulary: is 0"));
        let large = |change: &dyn Fn(&mut VarConfig)| {
            let mut config = VarConfig::published(16).unwrap();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        for (field, error) in [
            ("width", large(&|config| config.width = 1 << 40)),
            ("hidden", large(&|config| config.hidden = 1 << 40)),
            ("vocabulary", large(&|config| config.vocabulary = usize::MAX)),
            ("classes", large(&|config| config.classes = usize::MAX / 2)),
            ("depth", large(&|config| config.depth = usize::MAX)),
        ] {
            assert!(error.starts_with(&format!("{field}: ")) && error.contains("GB of memory"), "{error}");
        }
    }
}
