use nextscale_core::{Error, Grid, ScaleSchedule};
use nextscale_weights::{Error as WeightError, LoadError, WeightFile};

use super::{config::InfinityConfig, templates};

/// The tensors whose shapes determine the architecture, with their ranks; names of the first block follow its
/// prefix.
const TELLING: [(&str, usize); 5] = [
    ("cfg_uncond", 2),
    ("lvl_embed.weight", 2),
    ("word_embed.weight", 2),
    ("text_proj_for_sos.ca.mat_q", 3),
    ("head.weight", 2),
];

impl InfinityConfig {
    /// Infers the architecture from a checkpoint's header.
    ///
    /// The scales are `scales` if given; otherwise those in the file's metadata, which models trained here
    /// have; otherwise those of square images, at the published size with as many blocks and channels, or at
    /// 256² pixels.
    ///
    /// # Errors
    /// If the file is not an Infinity transformer, or the scales do not fit it.
    pub fn infer(file: &WeightFile, scales: Option<&ScaleSchedule>) -> Result<Self, LoadError> {
        let file = Self::rooted(file)?;
        if !Self::is_of(&file) {
            let names: Vec<_> = file.names().take(3).map(|name| format!("`{name}`")).collect();
            return Err(WeightError::OtherModel {
                file: file.label().into(),
                model: "an Infinity transformer".into(),
                found: if names.is_empty() { "no tensors".into() } else { names.join(", ") },
            }
            .into());
        }
        let shape = |name: &str, rank: usize| file.shape_of_rank(name, rank).map(<[usize]>::to_vec);
        let mut telling = TELLING.into_iter().map(|(name, rank)| shape(name, rank));
        let mut next = || telling.next().unwrap_or_else(|| Ok(Vec::new()));
        let (text, levels, words, pool, _head) = (next()?, next()?, next()?, next()?, next()?);
        let (chunks, each) = blocks(&file);
        let first = if chunks == 1 { "blocks.0." } else { "block_chunks.0.module.0." };
        let scale = shape(&format!("{first}sa.scale_mul_1H11"), 4)?;
        let hidden = shape(&format!("{first}ffn.fc1.weight"), 2)?;
        let config = Self {
            // From the file or the caller, below.
            schedule: ScaleSchedule::square(&[1])?,
            positions: Grid::square(1),
            depth: chunks.saturating_mul(each),
            chunks,
            width: words[0],
            heads: scale[1],
            hidden: hidden[0],
            bits: words[1],
            levels: levels[0],
            text_width: text[1],
            text_rows: text[0],
            pool_heads: pool[1],
        };
        let schedule = match scales {
            Some(scales) => scales.clone(),
            None => own_scales(&file)?.map_or_else(|| published_scales(&config), Ok)?,
        };
        let positions = match entry::<Grid>(&file, "positions")? {
            Some(positions) if !templates::is_template(&schedule) => positions,
            _ => templates::reference_grid(&schedule),
        };
        let config = Self { schedule, positions, ..config };
        config.check()?;
        Ok(config)
    }
}

/// The number of groups of blocks and of blocks per group, as far as they are numbered without a gap. The
/// check of all names reports the rest as unexpected.
fn blocks(file: &WeightFile) -> (usize, usize) {
    let has = |prefix: &str| file.info(&format!("{prefix}ffn.fc1.weight")).is_some();
    let chunks = (0..).take_while(|i| has(&format!("block_chunks.{i}.module.0."))).count();
    match chunks {
        0 => (1, (0..).take_while(|i| has(&format!("blocks.{i}."))).count()),
        chunks => (chunks, (0..).take_while(|j| has(&format!("block_chunks.0.module.{j}."))).count()),
    }
}

/// An entry of the file's metadata.
fn entry<T: std::str::FromStr<Err = Error>>(file: &WeightFile, name: &str) -> Result<Option<T>, Error> {
    file.metadata().get(name).map(|text| text.parse()).transpose()
}

fn own_scales(file: &WeightFile) -> Result<Option<ScaleSchedule>, Error> {
    entry(file, "scales")
}

fn published_scales(config: &InfinityConfig) -> Result<ScaleSchedule, Error> {
    match config.name() {
        Some(name) => Ok(InfinityConfig::published(name)?.schedule),
        None => templates::schedule("1.0", "0.06M"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use burn::tensor::TensorData;
    use nextscale_weights::{Precision, save_safetensors};

    use super::*;
    use crate::infinity::fixtures::opened;

    #[test]
    fn the_reference_models_are_told_by_their_headers() {
        for (name, depth, bits, text_rows) in [("base", 4, 6, 32), ("patchify", 2, 12, 16)] {
            let file = opened(&format!("{name}/infinity.safetensors"));
            let config = InfinityConfig::infer(&file, None).unwrap();
            assert_eq!((config.depth, config.chunks, config.width, config.heads), (depth, 2, 64, 4));
            assert_eq!((config.hidden, config.bits, config.levels), (256, bits, 15));
            assert_eq!((config.text_width, config.text_rows, config.pool_heads), (256, text_rows, 2));
            assert_eq!(config.schedule, templates::schedule("1.0", "0.06M").unwrap());
            assert_eq!(config.positions, Grid::square(64));
            config.expected().check(&file).unwrap();
        }
    }

    #[test]
    fn another_model_and_a_broken_one_are_told() {
        let error = InfinityConfig::infer(&opened("base/reference.safetensors"), None).unwrap_err();
        assert!(error.to_string().contains("is not an Infinity transformer"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let refused = |drop: &str, add: Option<(&str, Vec<usize>)>| {
            let file = opened("base/infinity.safetensors");
            let tensors = file.names().filter(|name| *name != drop).map(|name| {
                let (values, shape) = file.values(name).unwrap();
                (name.to_owned(), TensorData::new(values, shape))
            });
            let added = add.map(|(name, shape)| {
                (name.to_owned(), TensorData::new(vec![0.0_f32; shape.iter().product()], shape))
            });
            let path = folder.path().join("broken.safetensors");
            save_safetensors(&path, tensors.chain(added), Precision::F32, &BTreeMap::new()).unwrap();
            let file = WeightFile::open(&path).unwrap();
            let config = match InfinityConfig::infer(&file, None) {
                Ok(config) => config,
                Err(error) => return error.to_string(),
            };
            config.expected().check(&file).unwrap_err().to_string()
        };
        assert!(refused("head.weight", None).contains("has no tensor `head.weight`"));
        let missing = refused("block_chunks.1.module.0.ca.mat_q.weight", None);
        assert!(
            missing.contains("missing tensor `block_chunks.1.module.0.ca.mat_q.weight` [64, 64]"),
            "{missing}"
        );
        let bent = refused("head.bias", Some(("head.bias", vec![11])));
        assert!(bent.contains("`head.bias` has shape [11], the model needs [12]"), "{bent}");
        let flat = refused("cfg_uncond", Some(("cfg_uncond", vec![32])));
        assert!(flat.contains("`cfg_uncond` has shape [32], expected 2 axes"), "{flat}");
        let unknown = refused("", Some(("norm0_ve.weight", vec![6])));
        assert!(unknown.contains("unexpected tensor `norm0_ve.weight` [6]"), "{unknown}");
    }
}
