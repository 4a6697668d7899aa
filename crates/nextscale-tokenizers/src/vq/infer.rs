use nextscale_weights::{Error, ExpectedTensors, Problem, Result, WeightFile};

use super::{PhiKind, Vqvae, VqvaeConfig, keys};
use burn::tensor::Device;

/// What a list of this model's tensors is called in errors.
const MODEL: &str = "a VQVAE";

/// Counts hits in upstream's training; nothing reads it.
pub(super) const HITS: &str = "quantize.ema_vocab_hit_SV";

impl VqvaeConfig {
    /// Reads the architecture from a file's header. The norm groups leave no trace in a tensor: they are `norm_groups`,
    /// else what the file's metadata says, else upstream's 32; φ's ratio alike, where upstream has 0.5.
    ///
    /// # Errors
    /// If the tensors that tell are missing or cannot be, with their names and shapes.
    pub fn infer(file: &WeightFile, norm_groups: Option<usize>) -> Result<Self> {
        let file = &file.rooted("quantize.embedding.weight")?;
        let [vocabulary, latent_channels] = shape(file, "quantize.embedding.weight")?;
        // Every level but the finest ends with a doubling.
        let levels = 1 + count(|i| format!("decoder.up.{}.upsample.conv.weight", i + 1), file);
        let widths = (0..levels).map(|level| level_width(file, level, levels)).collect::<Result<Vec<_>>>()?;
        let channels = match file.info("encoder.conv_in.weight") {
            Some(_) => shape::<4>(file, "encoder.conv_in.weight")?[0],
            // Without an encoder any common divisor would do.
            None => widths.iter().fold(0, |divisor, (_, width)| gcd(divisor, *width)),
        };
        if let Some((name, width)) =
            widths.iter().find(|(_, width)| *width == 0 || width % channels.max(1) != 0)
        {
            let found = file.info(name).map(|info| info.shape.clone()).unwrap_or_default();
            // The nearest width that fits, so that the error shows a shape.
            let fitting = width.div_ceil(channels.max(1)).max(1) * channels.max(1);
            let mut expected = found.clone();
            expected.iter_mut().take(1).for_each(|out| *out = fitting);
            return Err(misfit(file, Problem::Misshapen { name: name.clone(), found, expected }));
        }
        let multipliers = widths.iter().map(|(_, width)| width / channels.max(1)).collect();
        let blocks = |side| (0..levels).map(|level| level_blocks(file, side, level)).collect();
        let attention = (0..levels).map(|level| {
            ["decoder.up", "encoder.down"]
                .iter()
                .any(|side| file.info(&format!("{side}.{level}.attn.0.qkv.weight")).is_some())
        });
        let setting = |name: &str| file.metadata().get(name);
        Ok(Self {
            channels,
            multipliers,
            encoder_blocks: blocks("encoder.down"),
            decoder_blocks: blocks("decoder.up"),
            attention: attention.collect(),
            mid_attention: file.info("decoder.mid.attn_1.qkv.weight").is_some(),
            latent_channels,
            vocabulary,
            phi: phi(file),
            phi_ratio: setting("phi_ratio").and_then(|text| text.parse().ok()).unwrap_or(0.5),
            norm_groups: norm_groups
                .or_else(|| setting("norm_groups").and_then(|text| text.parse().ok()))
                .unwrap_or(32),
        })
    }

    /// How many scales a file's φ has a convolution for, where each has its own; else 1, for any number has the same tensors.
    pub fn phi_count(&self, file: &WeightFile) -> usize {
        match self.phi {
            PhiKind::PerScale => count(|i| format!("quantize.quant_resi.{i}.weight"), file),
            _ => 1,
        }
    }

    /// The tensors that a checkpoint of this architecture has, by upstream's keys; `scales` counts where φ differs a scale.
    /// Upstream's unused counter of hits may be there or not.
    pub fn expected(&self, scales: usize, with_encoder: bool) -> ExpectedTensors {
        let empty = Vqvae::empty(self, scales, with_encoder, &Device::flex());
        let mut expected = ExpectedTensors::new(MODEL).ignore(HITS);
        for (key, shape) in keys::shapes(&empty, self.phi) {
            expected.insert(key, shape);
        }
        expected
    }
}

/// Whether a file holds the encoder's half.
pub(super) fn has_encoder(file: &WeightFile) -> bool {
    file.names().any(|name| name.starts_with("encoder.") || name.starts_with("quant_conv."))
}

/// The tensor that tells a level's channels, and their number.
fn level_width(file: &WeightFile, level: usize, levels: usize) -> Result<(String, usize)> {
    let side = ["decoder.up", "encoder.down"].into_iter().find(|side| level_blocks(file, side, level) > 0);
    let name = match side {
        Some(side) => format!("{side}.{level}.block.0.conv1.weight"),
        // A level without blocks has the channels of whatever reaches it. The decoder begins with the last level's; of
        // the others' own numbers nothing is made.
        None if level + 1 == levels || file.info("encoder.conv_in.weight").is_none() => {
            "decoder.conv_in.weight".into()
        }
        None => "encoder.conv_in.weight".into(),
    };
    let [out, ..] = shape::<4>(file, &name)?;
    Ok((name, out))
}

fn level_blocks(file: &WeightFile, side: &str, level: usize) -> usize {
    count(|i| format!("{side}.{level}.block.{i}.conv1.weight"), file)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn phi(file: &WeightFile) -> PhiKind {
    let nearest = count(|i| format!("quantize.quant_resi.qresi_ls.{i}.weight"), file);
    let each = count(|i| format!("quantize.quant_resi.{i}.weight"), file);
    if nearest > 0 {
        PhiKind::Nearest(nearest)
    } else if each > 0 {
        PhiKind::PerScale
    } else if file.info("quantize.quant_resi.qresi.weight").is_some() {
        PhiKind::One
    } else {
        PhiKind::Identity
    }
}

/// How many of the names from 0 on are in the file without a gap.
fn count(name: impl Fn(usize) -> String, file: &WeightFile) -> usize {
    (0..).take_while(|&i| file.info(&name(i)).is_some()).count()
}

/// The shape of a tensor that there must be.
fn shape<const D: usize>(file: &WeightFile, name: &str) -> Result<[usize; D]> {
    let Some(info) = file.info(name) else {
        // Says which model was looked for, and what is there instead.
        ExpectedTensors::new(MODEL).tensor(name, [0; D]).check(file)?;
        return Err(misfit(file, Problem::Missing { name: name.into(), shape: vec![0; D] }));
    };
    info.shape.as_slice().try_into().map_err(|_| Error::Rank {
        file: file.label().into(),
        name: name.into(),
        found: info.shape.clone(),
        expected: D,
    })
}

fn misfit(file: &WeightFile, problem: Problem) -> Error {
    Error::Misfit { file: file.label().into(), model: MODEL.into(), problems: vec![problem], more: 0 }
}
