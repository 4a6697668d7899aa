//! Infers sizes from the header of a file.

use nextscale_weights::{Error, ExpectedTensors, Problem, Result, WeightFile};

use super::{Layout, NormGroups};

/// A file's tensors by the paths of the modules' parameters.
pub(crate) struct Tensors<'a> {
    /// The file.
    pub file: &'a WeightFile,
    /// The name of a list of the model's tensors in errors.
    pub model: &'static str,
    /// The name of a parameter in the file.
    pub name: fn(&WeightFile, &str) -> String,
}

impl Tensors<'_> {
    /// The name in the file.
    pub fn name(&self, path: &str) -> String {
        (self.name)(self.file, path)
    }

    /// Whether the tensor exists.
    pub fn has(&self, path: &str) -> bool {
        self.file.info(&self.name(path)).is_some()
    }

    /// The shape of a required tensor.
    pub fn shape<const D: usize>(&self, path: &str) -> Result<[usize; D]> {
        let name = self.name(path);
        if self.file.info(&name).is_none() {
            // The error that says which model was expected, and what was found instead.
            ExpectedTensors::new(self.model).tensor(&name, [0; D]).check(self.file)?;
            return Err(self.misfit(Problem::Missing { name, shape: vec![0; D] }));
        }
        self.file.shape(&name)
    }

    /// How many of the paths, numbered from 0, the file has without a gap.
    pub fn count(&self, path: impl Fn(usize) -> String) -> usize {
        (0..).take_while(|&i| self.has(&path(i))).count()
    }

    fn misfit(&self, problem: Problem) -> Error {
        Error::Misfit {
            file: self.file.label().into(),
            model: self.model.into(),
            problems: vec![problem],
            more: 0,
        }
    }

    /// The tensor that determines a level's channels, and their number.
    fn level_width(&self, level: usize, levels: usize) -> Result<(String, usize)> {
        let side = ["decoder.up", "encoder.down"].into_iter().find(|side| self.level_blocks(side, level) > 0);
        let path = match side {
            Some(side) => format!("{side}.{level}.block.0.conv1.weight"),
            // A level without blocks has the channels of its input. The decoder begins with the last level's
            // channels; other levels' own numbers are unused.
            None if level + 1 == levels || !self.has("encoder.conv_in.weight") => {
                "decoder.conv_in.weight".into()
            }
            None => "encoder.conv_in.weight".into(),
        };
        let [out, ..] = self.shape::<4>(&path)?;
        Ok((self.name(&path), out))
    }

    fn level_blocks(&self, side: &str, level: usize) -> usize {
        self.count(|i| format!("{side}.{level}.block.{i}.conv1.weight"))
    }
}

impl Layout {
    /// Infers the sizes. Those that tensors do not show are arguments.
    ///
    /// # Errors
    /// If the tensors that determine the sizes are missing or impossible, with their names and
    /// shapes.
    pub(crate) fn infer(tensors: &Tensors<'_>, latent_channels: usize, norms: NormGroups) -> Result<Self> {
        // Every level except the finest ends with a doubling.
        let levels = 1 + tensors.count(|i| format!("decoder.up.{}.upsample.conv.weight", i + 1));
        let widths =
            (0..levels).map(|level| tensors.level_width(level, levels)).collect::<Result<Vec<_>>>()?;
        let channels = if tensors.has("encoder.conv_in.weight") {
            tensors.shape::<4>("encoder.conv_in.weight")?[0]
        } else {
            // Without an encoder any common divisor would do.
            widths.iter().fold(0, |divisor, (_, width)| gcd(divisor, *width))
        };
        if let Some((name, width)) =
            widths.iter().find(|(_, width)| *width == 0 || width % channels.max(1) != 0)
        {
            let found = tensors.file.info(name).map(|info| info.shape.clone()).unwrap_or_default();
            // The nearest width that fits, so that the error shows a shape.
            let fitting = width.div_ceil(channels.max(1)).max(1) * channels.max(1);
            let mut expected = found.clone();
            expected.iter_mut().take(1).for_each(|out| *out = fitting);
            return Err(tensors.misfit(Problem::Misshapen { name: name.clone(), found, expected }));
        }
        let blocks = |side| (0..levels).map(|level| tensors.level_blocks(side, level)).collect();
        let attention = |level: usize| {
            let has = |side: &str| tensors.has(&format!("{side}.{level}.attn.0.qkv.weight"));
            has("decoder.up") || has("encoder.down")
        };
        Ok(Self {
            channels,
            multipliers: widths.iter().map(|(_, width)| width / channels.max(1)).collect(),
            encoder_blocks: blocks("encoder.down"),
            decoder_blocks: blocks("decoder.up"),
            attention: (0..levels).map(attention).collect(),
            mid_attention: tensors.has("decoder.mid.attn_1.qkv.weight"),
            latent_channels,
            norms,
        })
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
