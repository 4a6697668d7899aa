use nextscale_core::{Error, Grid, Pass, Result, ScaleSchedule, memory};
use serde::{Deserialize, Serialize};

use crate::transformer::{AttentionKind, streams};

/// The architecture of a HART transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HartConfig {
    /// The scales, coarse to fine; the first is 1 × 1.
    pub schedule: ScaleSchedule,
    /// Blocks.
    pub depth: usize,
    /// Channels of the hidden states, C.
    pub width: usize,
    /// Attention heads; they must divide the width.
    pub heads: usize,
    /// Channels inside the MLP.
    pub hidden: usize,
    /// The number of codes, V.
    pub vocabulary: usize,
    /// Channels of the tokenizer's features, which are the input and the residual.
    pub feature_channels: usize,
    /// Rows of every text, padding included.
    pub context: usize,
    /// Channels of the text encoder's rows.
    pub text_width: usize,
    /// Whether the text's rows are normed first.
    pub text_norm: bool,
    /// How a scale's number is embedded.
    pub levels: Levels,
    /// What modulates the blocks.
    pub modulated: Modulated,
    /// How scores are computed.
    pub attention: AttentionKind,
    /// The diffusion head for the last scale's residual, if there is one.
    pub residual: Option<ResidualConfig>,
}

/// The embedding of a scale's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Levels {
    /// An MLP of sinusoids, for any number of scales.
    Sinusoids,
    /// A table with so many rows.
    Table(usize),
}

/// What modulates the blocks' norms and gates their outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Modulated {
    /// Nothing.
    Nothing,
    /// A learned offset per block, added to the mean of the text's rows.
    ByOffset,
    /// A projection per block of the text's rows, pooled in this way.
    ByProjection(Pooling),
}

/// How the text's rows become one vector for the blocks' modulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pooling {
    /// The mean of the prompt's own rows.
    Mean,
    /// The largest of all rows, padding included.
    Max,
}

/// The sizes of the diffusion head, and how it is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ResidualConfig {
    /// Channels of its hidden states.
    pub width: usize,
    /// Residual blocks.
    pub depth: usize,
    /// Steps of its sampler, 1 to 1000.
    pub steps: usize,
    /// The strength t of its own classifier-free guidance, (1 + t)·conditional − t·unconditional; 0 is off.
    pub cfg: f64,
}

/// The guidance scale of upstream's sampling, which grows over the scales.
const CFG: f64 = 4.5;
/// Steps of upstream's diffusion sampler.
pub(super) const STEPS: usize = 8;
/// The noise levels that the head was trained on.
pub(super) const TIMES: usize = 1000;

impl HartConfig {
    /// The published size, 0.7B parameters for 1024² pixels, on other scales if given. Depth and widths are
    /// those of the published description; the checkpoint's own numbers may differ.
    ///
    /// # Errors
    /// If the scales do not fit.
    pub fn published(scales: Option<&ScaleSchedule>) -> Result<Self> {
        let schedule = match scales {
            Some(scales) => scales.clone(),
            None => ScaleSchedule::square(&SCALES_1024)?,
        };
        let config = Self {
            depth: 24,
            width: 1536,
            heads: 24,
            hidden: hidden(1536),
            vocabulary: 4096,
            feature_channels: 32,
            context: 300,
            text_width: 1536,
            text_norm: true,
            levels: Levels::Sinusoids,
            modulated: Modulated::Nothing,
            attention: AttentionKind::Plain,
            residual: Some(ResidualConfig { width: 1024, depth: 6, steps: STEPS, cfg: cfg(&schedule) }),
            schedule,
        };
        config.check()?;
        Ok(config)
    }

    /// Checks that a model of this size can run a pass: that it has the blocks that the pass mixes or
    /// perturbs.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the layer that does not exist.
    pub fn runs(&self, pass: &Pass) -> Result<()> {
        streams::runs(pass, self.depth)
    }

    /// The same on other scales.
    ///
    /// # Errors
    /// If the first is not 1 × 1, or there are more scales than level embeddings.
    pub fn on_scales(&self, schedule: &ScaleSchedule) -> Result<Self> {
        let config = Self { schedule: schedule.clone(), ..self.clone() };
        config.check()?;
        Ok(config)
    }

    /// Channels per head.
    pub(super) fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// Bytes of one token's keys and values in all blocks, in f32.
    pub fn cache_bytes_per_token(&self) -> usize {
        2 * self.depth * self.width * size_of::<f32>()
    }

    /// The least bytes of keys and values of one image and pass, which the last scale reads: the text's and
    /// those of all scales before it, in all blocks, and its own in one, in f32.
    pub fn cache_bytes(&self) -> u128 {
        let before = self.schedule.positions() - self.schedule.last().positions() + self.context;
        let all = (before as u128).saturating_mul(self.cache_bytes_per_token() as u128);
        let one = (before + self.schedule.last().positions()) as u128;
        all.saturating_add(one.saturating_mul(2 * self.width as u128 * 4))
    }

    /// The number of parameters.
    pub fn parameters(&self) -> u128 {
        self.expected()
            .iter()
            .map(|(_, shape)| shape.iter().map(|&size| size as u128).product::<u128>())
            .sum()
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the field.
    pub fn check(&self) -> Result<()> {
        let residual = self.residual.unwrap_or(ResidualConfig { width: 1, depth: 1, steps: 1, cfg: 0.0 });
        let sizes = [
            ("depth", self.depth),
            ("width", self.width),
            ("heads", self.heads),
            ("hidden", self.hidden),
            ("vocabulary", self.vocabulary),
            ("feature_channels", self.feature_channels),
            ("context_token", self.context),
            ("text_width", self.text_width),
            ("diff_width", residual.width),
        ];
        if let Some((field, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(Error::setting(*field, "is 0; it must be at least 1"));
        }
        if !self.width.is_multiple_of(self.heads) {
            let message = format!("{} does not divide the width {}", self.heads, self.width);
            return Err(Error::setting("heads", message));
        }
        if !self.head_width().is_multiple_of(4) {
            let message = format!(
                "{} give heads of {} channels; rows and columns need a multiple of 4",
                self.heads,
                self.head_width()
            );
            return Err(Error::setting("heads", message));
        }
        if self.schedule.grid(0) != Grid::square(1) {
            let message = format!("the first is {}, and the text makes 1×1", self.schedule.grid(0));
            return Err(Error::setting("scales", message));
        }
        if let Levels::Table(rows) = self.levels
            && rows < self.schedule.len()
        {
            let message = format!(
                "{} are {}, and the model has level embeddings for {rows}",
                self.schedule,
                self.schedule.len()
            );
            return Err(Error::setting("scales", message));
        }
        if !(1..=TIMES).contains(&residual.steps) {
            let message = format!("{}; give 1 to {TIMES}, upstream's is {STEPS}", residual.steps);
            return Err(Error::setting("diffusion_steps", message));
        }
        if !residual.cfg.is_finite() {
            let message = format!("{}; give a number like {CFG}, or 0 for none", residual.cfg);
            return Err(Error::setting("residual_cfg", message));
        }
        let text = memory::of_f32(&[self.context, self.text_width]);
        memory::check("context_token", &format!("a text of {} rows", self.context), text)?;
        let what = format!("what one image keeps at {}", self.schedule);
        memory::check("scales", &what, self.cache_bytes())
    }
}

/// The scales of the published model.
pub const SCALES_1024: [usize; 14] = [1, 2, 3, 4, 5, 7, 9, 12, 16, 21, 27, 36, 48, 64];

/// The strength of the head's guidance in upstream's sampling: that of the last scale but one.
pub(super) fn cfg(schedule: &ScaleSchedule) -> f64 {
    CFG * schedule.progress(schedule.len().saturating_sub(2))
}

/// Channels inside the MLP for four times the width: two thirds of it, rounded up to multiples of 256.
pub(super) fn hidden(width: usize) -> usize {
    (8 * width / 3).div_ceil(256) * 256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_model_has_its_sizes() {
        let config = HartConfig::published(None).unwrap();
        assert_eq!((config.schedule.positions(), config.schedule.len(), config.hidden), (9451, 14, 4096));
        let parameters = config.parameters() as f64 / 1e6;
        assert!((700.0..760.0).contains(&parameters), "{parameters} million parameters");
        let head = HartConfig { residual: None, ..config.clone() }.parameters() as f64 / 1e6;
        assert!((parameters - head - 37.0).abs() < 1.0, "{} million in the head", parameters - head);
        let residual = config.residual.unwrap();
        assert!((residual.cfg - 4.5 * 12.0 / 13.0).abs() < 1e-12);
        // Two passes keep 3.4 GB; all scores at once would take 4096·9751·24·4 bytes and more.
        assert!((3.3e9..3.6e9).contains(&(2.0 * config.cache_bytes() as f64)), "{}", config.cache_bytes());
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let good = HartConfig::published(Some(&ScaleSchedule::square(&[1, 2, 4]).unwrap())).unwrap();
        let steps = |steps| Some(ResidualConfig { steps, ..good.residual.unwrap() });
        let cfg = Some(ResidualConfig { cfg: f64::NAN, ..good.residual.unwrap() });
        for (config, field) in [
            (HartConfig { depth: 0, ..good.clone() }, "depth"),
            (HartConfig { heads: 7, ..good.clone() }, "heads"),
            (HartConfig { heads: 768, ..good.clone() }, "heads"),
            (HartConfig { context: 0, ..good.clone() }, "context_token"),
            (HartConfig { context: usize::MAX >> 8, ..good.clone() }, "context_token"),
            (HartConfig { levels: Levels::Table(2), ..good.clone() }, "scales"),
            (HartConfig { schedule: ScaleSchedule::square(&[2, 4]).unwrap(), ..good.clone() }, "scales"),
            (
                HartConfig { schedule: ScaleSchedule::square(&[1, 9000, 9000]).unwrap(), ..good.clone() },
                "scales",
            ),
            (HartConfig { residual: steps(0), ..good.clone() }, "diffusion_steps: 0; give 1 to 1000"),
            (HartConfig { residual: steps(1001), ..good.clone() }, "diffusion_steps"),
            (HartConfig { residual: cfg, ..good.clone() }, "residual_cfg"),
        ] {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(field), "{field}: {error}");
        }
    }
}
