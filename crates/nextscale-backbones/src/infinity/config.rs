use nextscale_core::{Alphabet, Error, Grid, Pass, Result, ScaleSchedule};
use serde::{Deserialize, Serialize};

use super::templates;
use crate::transformer::streams;

/// Level embeddings of upstream's models.
const LEVELS: usize = 15;
/// Text tokens of upstream's models.
const TEXT_ROWS: usize = 512;
/// Channels of flan-t5-xl.
const TEXT_WIDTH: usize = 2048;

/// The architecture of an Infinity transformer ("Infinity: Scaling Bitwise AutoRegressive Modeling for
/// High-Resolution Image Synthesis", CVPR 2025): the bits of tokens in, the bits of the next scale out, text
/// by cross-attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InfinityConfig {
    /// The scales, coarse to fine; the first is 1 × 1.
    pub schedule: ScaleSchedule,
    /// The grid on which rotary position embeddings count rows and columns.
    pub positions: Grid,
    /// Blocks.
    pub depth: usize,
    /// Groups of blocks in the file's names, `block_chunks.{i}.module.{j}`; with one group names are plain
    /// `blocks.{n}`.
    pub chunks: usize,
    /// Channels of the hidden states, C.
    pub width: usize,
    /// Attention heads; they must divide the width.
    pub heads: usize,
    /// Channels inside the MLP, about 4·C.
    pub hidden: usize,
    /// Bits per token: the tokenizer's, or four times as many if 2 × 2 cells form a token (patchify).
    pub bits: usize,
    /// Level embeddings: the largest number of scales.
    pub levels: usize,
    /// Channels of the text encoder's rows.
    pub text_width: usize,
    /// Learned rows for the absence of text: the largest number of tokens in a prompt.
    pub text_rows: usize,
    /// Heads of the attention that pools the text; they must divide the width.
    pub pool_heads: usize,
}

/// A published size: name, depth, chunks, width, heads, bits and the size of its images.
type Size = (&'static str, usize, usize, usize, usize, usize, &'static str);

/// Upstream's sizes. Those without a published file get the bits of the 2B model.
const SIZES: [Size; 8] = [
    ("125m", 12, 4, 768, 8, 16, "0.06M"),
    ("layer16", 16, 4, 1152, 12, 32, "0.25M"),
    ("1b", 24, 4, 1536, 16, 32, "0.25M"),
    ("layer32", 32, 4, 2080, 20, 32, "0.25M"),
    ("layer40", 40, 4, 2688, 24, 32, "0.25M"),
    ("layer48", 48, 4, 3360, 28, 32, "0.25M"),
    ("2b", 32, 8, 2048, 16, 32, "1M"),
    ("8b", 40, 8, 3584, 28, 56, "1M"),
];

impl InfinityConfig {
    /// Checks that a model of this size can run a pass: that it has the blocks that the pass mixes or
    /// perturbs.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the layer that does not exist.
    pub fn runs(&self, pass: &Pass) -> Result<()> {
        streams::runs(pass, self.depth)
    }

    /// A model in upstream's proportions: four groups of blocks where they divide the depth, an MLP of four
    /// times the width rounded to multiples of 256, 15 level embeddings, and flan-t5-xl's text of 512 tokens.
    pub fn new([depth, width, heads]: [usize; 3], bits: usize, schedule: ScaleSchedule) -> Self {
        Self {
            positions: templates::reference_grid(&schedule),
            schedule,
            depth,
            chunks: [4, 2].into_iter().find(|chunks| depth.is_multiple_of(*chunks)).unwrap_or(1),
            width,
            heads,
            hidden: hidden(width),
            bits,
            levels: LEVELS,
            text_width: TEXT_WIDTH,
            text_rows: TEXT_ROWS,
            pool_heads: pool_heads(TEXT_WIDTH, width),
        }
    }

    /// The model of a published size, by name, for square images: `125m`, `1b`, `2b`, `8b`, or `layer12` to
    /// `layer48`.
    ///
    /// # Errors
    /// If no model of this name was published.
    pub fn published(name: &str) -> Result<Self> {
        let lower = name.to_lowercase();
        let lower = match &*lower {
            "layer12" => "125m",
            "layer24" => "1b",
            other => other,
        };
        let Some(&(_, depth, chunks, width, heads, bits, size)) =
            SIZES.iter().find(|(known, ..)| *known == lower)
        else {
            let known: Vec<_> = SIZES.iter().map(|(known, ..)| *known).collect();
            let message = format!("{name} was not published; choose one of {}", known.join(", "));
            return Err(Error::setting("size", message));
        };
        let schedule = templates::schedule("1.0", size)?;
        Ok(Self { chunks, ..Self::new([depth, width, heads], bits, schedule) })
    }

    /// The published size with this depth and width.
    pub fn name(&self) -> Option<&'static str> {
        let of = |&&(_, depth, _, width, ..): &&Size| (depth, width) == (self.depth, self.width);
        SIZES.iter().find(of).map(|(name, ..)| *name)
    }

    /// The same on other scales: a template's, or any others if there are enough level embeddings.
    ///
    /// # Errors
    /// If there are more scales than level embeddings, or the first is not 1 × 1.
    pub fn on_scales(&self, schedule: &ScaleSchedule) -> Result<Self> {
        let positions = match templates::is_template(schedule) || !self.is_own_grid() {
            true => templates::reference_grid(schedule),
            false => self.positions,
        };
        let config = Self { schedule: schedule.clone(), positions, ..self.clone() };
        config.check()?;
        Ok(config)
    }

    /// Whether positions are counted on an explicitly chosen grid rather than the one that follows from the
    /// scales.
    fn is_own_grid(&self) -> bool {
        self.positions != templates::reference_grid(&self.schedule)
    }

    /// The meaning of a token's channels.
    pub fn alphabet(&self) -> Alphabet {
        Alphabet::bits(self.bits)
    }

    /// Whether a token holds 2 × 2 cells of a tokenizer with this many bits.
    ///
    /// # Errors
    /// If its bits are neither those of a token nor a quarter of them.
    pub fn patchifies(&self, tokenizer_bits: usize) -> Result<bool> {
        match tokenizer_bits {
            bits if bits == self.bits => Ok(false),
            bits if 4 * bits == self.bits => Ok(true),
            bits => Err(Error::setting(
                "tokenizer",
                format!(
                    "it has {bits} bits, and a token of the transformer has {}: it needs a tokenizer of {0} bits{}",
                    self.bits,
                    match self.bits.is_multiple_of(4) {
                        true => format!(", or of {} where 2 × 2 cells make a token", self.bits / 4),
                        false => String::new(),
                    }
                ),
            )),
        }
    }

    /// Channels per head.
    pub(super) fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// The prefix of a block's tensor names.
    pub(super) fn prefix(&self, block: usize) -> String {
        match self.chunks {
            1 => format!("blocks.{block}."),
            chunks => {
                let each = self.depth / chunks;
                format!("block_chunks.{}.module.{}.", block / each, block % each)
            }
        }
    }

    /// Checks the sizes.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the field.
    pub fn check(&self) -> Result<()> {
        let sizes = [
            ("depth", self.depth),
            ("chunks", self.chunks),
            ("width", self.width),
            ("heads", self.heads),
            ("hidden", self.hidden),
            ("bits", self.bits),
            ("levels", self.levels),
            ("text_width", self.text_width),
            ("text_rows", self.text_rows),
            ("pool_heads", self.pool_heads),
            ("positions", self.positions.positions()),
        ];
        if let Some((field, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(Error::setting(*field, "is 0; it must be at least 1"));
        }
        let divides = [
            ("heads", self.heads, "width", self.width),
            ("pool_heads", self.pool_heads, "width", self.width),
            ("chunks", self.chunks, "depth", self.depth),
        ];
        for (field, part, whole, size) in divides {
            if !size.is_multiple_of(part) {
                return Err(Error::setting(field, format!("{part} does not divide the {whole} {size}")));
            }
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
        if self.schedule.len() > self.levels {
            let message = format!(
                "{} are {}, and the model has level embeddings for {}",
                self.schedule,
                self.schedule.len(),
                self.levels
            );
            return Err(Error::setting("scales", message));
        }
        Ok(())
    }
}

/// Four times the width, rounded to multiples of 256, ties to even.
pub(super) fn hidden(width: usize) -> usize {
    ((4 * width) as f64 / 256.0).round_ties_even().max(1.0) as usize * 256
}

/// Upstream's number of heads for the attention that pools the text.
pub(super) fn pool_heads(text_width: usize, width: usize) -> usize {
    (text_width / if width <= 4096 { 128 } else { 64 }).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_models_have_upstreams_sizes() {
        let of = |name: &str| InfinityConfig::published(name).unwrap();
        let small = of("125M");
        assert_eq!((small.hidden, small.head_width(), small.pool_heads), (3072, 96, 16));
        assert_eq!((small.schedule.positions(), small.chunks), (521, 4));
        assert_eq!(["layer32", "layer48", "2b"].map(|name| of(name).hidden), [8192, 13312, 8192]);
        assert_eq!((of("8b").bits, of("8b").chunks, of("8b").hidden), (56, 8, 14336));
        assert_eq!((of("layer12"), of("layer12").name()), (small, Some("125m")));
        assert!(InfinityConfig::published("3b").unwrap_err().to_string().contains("125m, layer16"));
        // As many parameters as upstream reports in millions.
        for (name, millions) in [("125m", 125.1), ("2b", 2204.6), ("8b", 8375.8)] {
            let count: usize =
                of(name).expected().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
            assert!((count as f64 / 1e6 - millions).abs() < 0.3, "{name}: {count}");
        }
    }

    #[test]
    fn a_tokenizer_of_a_quarter_of_the_bits_is_patchified_and_others_are_named() {
        let config = InfinityConfig::published("8b").unwrap();
        assert!(config.patchifies(14).unwrap() && !config.patchifies(56).unwrap());
        let error = config.patchifies(16).unwrap_err().to_string();
        assert!(
            error.contains("it has 16 bits") && error.contains("56") && error.contains("or of 14"),
            "{error}"
        );
    }

    #[test]
    fn positions_follow_the_template_unless_a_grid_was_chosen() {
        let small = InfinityConfig::published("125m").unwrap();
        let wide = templates::schedule("0.5", "0.25M").unwrap();
        assert_eq!(small.on_scales(&wide).unwrap().positions, Grid::new(45, 90));
        let own = ScaleSchedule::square(&[1, 3, 5]).unwrap();
        assert_eq!(small.on_scales(&own).unwrap().positions, Grid::square(5));
        let chosen = InfinityConfig { positions: Grid::square(32), ..small.on_scales(&own).unwrap() };
        let other = ScaleSchedule::square(&[1, 2, 3]).unwrap();
        assert_eq!(chosen.on_scales(&other).unwrap().positions, Grid::square(32));
        let many = ScaleSchedule::square(&(1..=16).collect::<Vec<_>>()).unwrap();
        assert!(small.on_scales(&many).unwrap_err().to_string().contains("level embeddings for 15"));
    }

    #[test]
    fn sizes_that_make_no_model_are_named() {
        let refused = |change: fn(InfinityConfig) -> InfinityConfig| {
            change(InfinityConfig::published("125m").unwrap()).check().unwrap_err().to_string()
        };
        assert!(
            refused(|config| InfinityConfig { heads: 7, ..config }).starts_with("heads: 7 does not divide")
        );
        assert!(refused(|config| InfinityConfig { chunks: 5, ..config }).starts_with("chunks: 5"));
        assert!(refused(|config| InfinityConfig { heads: 384, ..config }).contains("heads of 2 channels"));
        assert!(refused(|config| InfinityConfig { bits: 0, ..config }).starts_with("bits: is 0"));
        let late = |config| InfinityConfig { schedule: ScaleSchedule::square(&[2, 4]).unwrap(), ..config };
        assert!(refused(late).contains("the first is 2×2"));
    }
}
