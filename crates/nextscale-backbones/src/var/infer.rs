use nextscale_core::{Error, Grid, ScaleSchedule};
use nextscale_weights::{Error as WeightError, LoadError, WeightFile};

use super::config::{SCALES_256, SCALES_512, VarConfig};
use crate::transformer::{AdaLn, AttentionKind};

/// The tensors whose shapes determine the architecture, with their ranks.
const TELLING: [(&str, usize); 6] = [
    ("pos_1LC", 3),
    ("word_embed.weight", 2),
    ("class_emb.weight", 2),
    ("lvl_embed.weight", 2),
    ("blocks.0.ffn.fc1.weight", 2),
    ("head.weight", 2),
];

impl VarConfig {
    /// Infers the architecture from a checkpoint's header.
    ///
    /// The scales are `scales` if given; otherwise those of `lvl_1L`, assumed to be squares if all levels
    /// have square numbers of positions; otherwise the published list with as many positions. The heads of
    /// plain attention cannot be inferred from tensors: they come from the metadata entry `heads`, or are 64
    /// channels wide.
    ///
    /// # Errors
    /// If the file is not a VAR transformer, or the scales are unknown or do not fit.
    pub fn infer(file: &WeightFile, scales: Option<&ScaleSchedule>) -> Result<Self, LoadError> {
        let file = file.rooted("pos_1LC")?;
        let [positions, words, classes, levels, hidden, head] = telling(&file)?;
        let depth = (0..).take_while(|i| file.info(&format!("blocks.{i}.ffn.fc1.weight")).is_some()).count();
        let width = words[0];
        let scale = file.info("blocks.0.attn.scale_mul_1H11");
        let heads = match scale {
            Some(info) => info.shape.get(1).copied().unwrap_or(0),
            None => plain_heads(&file, width)?,
        };
        let config = Self {
            schedule: schedule(&file, positions[1], levels[0], scales)?,
            depth,
            width,
            heads,
            hidden: hidden[0],
            vocabulary: head[0],
            classes: classes[0].saturating_sub(1),
            feature_channels: words[1],
            ada_ln: match file.info("shared_ada_lin.1.weight") {
                Some(_) => AdaLn::Shared,
                None => AdaLn::PerBlock,
            },
            attention: if scale.is_some() { AttentionKind::L2 } else { AttentionKind::Plain },
        };
        config.check().map_err(|error| of_file(error, &file))?;
        Ok(config)
    }
}

/// The shapes of [`TELLING`].
fn telling(file: &WeightFile) -> Result<[Vec<usize>; 6], WeightError> {
    if TELLING.iter().all(|(name, _)| file.info(name).is_none()) {
        let names: Vec<_> = file.names().take(3).map(|name| format!("`{name}`")).collect();
        return Err(WeightError::OtherModel {
            file: file.label().into(),
            model: "a VAR transformer".into(),
            found: if names.is_empty() { "no tensors".into() } else { names.join(", ") },
        });
    }
    let mut shapes: [Vec<usize>; 6] = Default::default();
    for (shape, (name, rank)) in shapes.iter_mut().zip(TELLING) {
        *shape = file.shape_of_rank(name, rank)?.to_vec();
    }
    Ok(shapes)
}

/// Names the file that a size comes from.
fn of_file(error: Error, file: &WeightFile) -> Error {
    match error {
        Error::Setting { field, message } => {
            Error::Setting { field, message: format!("{message} ({})", file.label()) }
        }
        other => other,
    }
}

fn plain_heads(file: &WeightFile, width: usize) -> Result<usize, Error> {
    match file.metadata().get("heads") {
        Some(heads) => heads.parse().map_err(|_| {
            Error::setting("heads", format!("{} says `{heads}`, which is not a number", file.label()))
        }),
        None if width.is_multiple_of(64) => Ok(width / 64),
        None => Err(Error::setting(
            "heads",
            format!(
                "{} has plain attention of width {width} and does not say its heads; add `heads` to its metadata",
                file.label()
            ),
        )),
    }
}

/// The scales of a file with this many positions and levels.
fn schedule(
    file: &WeightFile,
    positions: usize,
    levels: usize,
    scales: Option<&ScaleSchedule>,
) -> Result<ScaleSchedule, LoadError> {
    let sizes = level_sizes(file)?;
    let fits = |schedule: &ScaleSchedule| {
        schedule.positions() == positions
            && schedule.len() == levels
            && sizes.as_ref().is_none_or(|sizes| {
                schedule.grids().iter().map(|grid| grid.positions()).eq(sizes.iter().copied())
            })
    };
    let in_file = match &sizes {
        Some(sizes) => format!("{positions} positions in {levels} scales of {sizes:?}"),
        None => format!("{positions} positions in {levels} scales"),
    };
    if let Some(scales) = scales {
        if fits(scales) {
            return Ok(scales.clone());
        }
        return Err(Error::setting(
            "scales",
            format!(
                "{scales} make {} positions in {} scales, and {} has {in_file}",
                scales.positions(),
                scales.len(),
                file.label()
            ),
        )
        .into());
    }
    for published in [SCALES_256, SCALES_512] {
        let published = ScaleSchedule::square(&published)?;
        if fits(&published) {
            return Ok(published);
        }
    }
    let squares = sizes.as_ref().and_then(|sizes| {
        let side = |size: usize| (size.isqrt().pow(2) == size).then(|| Grid::square(size.isqrt()));
        sizes.iter().map(|&size| side(size)).collect::<Option<Vec<_>>>()
    });
    if let Some(squares) = squares {
        let squares = ScaleSchedule::new(squares)?;
        if fits(&squares) {
            return Ok(squares);
        }
    }
    Err(Error::setting(
        "scales",
        format!("{} has {in_file}, which no published list has; give the model's `scales`", file.label()),
    )
    .into())
}

/// The number of positions of each level according to `lvl_1L`, if the file has it.
fn level_sizes(file: &WeightFile) -> Result<Option<Vec<usize>>, LoadError> {
    if file.info("lvl_1L").is_none() {
        return Ok(None);
    }
    // On the host: a device's integers may be narrower than what a damaged file contains.
    let (levels, _) = file.integers("lvl_1L")?;
    let mut sizes = Vec::new();
    for level in levels {
        match usize::try_from(level) {
            Ok(level) if level == sizes.len() => sizes.push(1),
            Ok(level) if level + 1 == sizes.len() => sizes[level] += 1,
            _ => {
                return Err(nextscale_weights::Error::Corrupt {
                    file: file.label().into(),
                    detail: "`lvl_1L` does not count its levels up from 0".into(),
                }
                .into());
            }
        }
    }
    Ok(Some(sizes))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use burn::tensor::{Device, TensorData};
    use nextscale_weights::{Precision, save_safetensors};

    use super::*;
    use crate::var::{Initialisation, Var};

    /// A file with only the telling tensors: inferring reads no value.
    fn header(positions: usize, levels: usize, counts: Option<&[usize]>) -> (tempfile::TempDir, WeightFile) {
        let shapes: [(&str, &[usize]); 7] = [
            ("pos_1LC", &[1, positions, 8]),
            ("word_embed.weight", &[8, 3]),
            ("class_emb.weight", &[11, 8]),
            ("lvl_embed.weight", &[levels, 8]),
            ("blocks.0.ffn.fc1.weight", &[32, 8]),
            ("head.weight", &[5, 8]),
            ("blocks.0.attn.scale_mul_1H11", &[1, 2, 1, 1]),
        ];
        let floats = shapes.map(|(name, shape)| {
            (name.to_owned(), TensorData::new(vec![0.0_f32; shape.iter().product()], shape.to_vec()))
        });
        let buffer = counts.map(|counts| {
            let levels: Vec<i64> = (0..).zip(counts).flat_map(|(k, &n)| vec![k; n]).collect();
            let shape = [1, levels.len()];
            ("lvl_1L".to_owned(), TensorData::new(levels, shape))
        });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("header.safetensors");
        save_safetensors(&path, floats.into_iter().chain(buffer), Precision::F32, &BTreeMap::new()).unwrap();
        let file = WeightFile::open(path).unwrap();
        (folder, file)
    }

    fn scales(sides: &[usize]) -> ScaleSchedule {
        ScaleSchedule::square(sides).unwrap()
    }

    #[test]
    fn the_published_lists_are_known_by_their_positions() {
        let (_folder, file) = header(680, 10, None);
        assert_eq!(VarConfig::infer(&file, None).unwrap().schedule, scales(&SCALES_256));
        let (_folder, file) = header(2240, 10, None);
        assert_eq!(VarConfig::infer(&file, None).unwrap().schedule, scales(&SCALES_512));
    }

    #[test]
    fn levels_in_the_file_give_squares_where_they_are_square() {
        let (_folder, file) = header(14, 3, Some(&[1, 4, 9]));
        assert_eq!(VarConfig::infer(&file, None).unwrap().schedule, scales(&[1, 2, 3]));
        let (_folder, file) = header(9, 3, Some(&[1, 2, 6]));
        let error = VarConfig::infer(&file, None).unwrap_err().to_string();
        assert!(error.contains("9 positions in 3 scales of [1, 2, 6]"), "{error}");
        let oblong = ScaleSchedule::new(vec![Grid::new(1, 1), Grid::new(1, 2), Grid::new(2, 3)]).unwrap();
        assert_eq!(VarConfig::infer(&file, Some(&oblong)).unwrap().schedule, oblong);
    }

    #[test]
    fn a_schedule_that_does_not_fit_is_refused_with_both_sizes() {
        let (_folder, file) = header(14, 3, None);
        let error = VarConfig::infer(&file, None).unwrap_err().to_string();
        assert!(error.contains("give the model's `scales`"), "{error}");
        assert_eq!(VarConfig::infer(&file, Some(&scales(&[1, 2, 3]))).unwrap().schedule, scales(&[1, 2, 3]));
        let error = VarConfig::infer(&file, Some(&scales(&[1, 2, 4]))).unwrap_err().to_string();
        assert!(error.contains("1 2 4 make 21 positions in 3 scales"), "{error}");
        assert!(error.contains("has 14 positions in 3 scales"), "{error}");
        // As many positions, but not the file's levels.
        let (_folder, file) = header(14, 2, Some(&[5, 9]));
        assert!(VarConfig::infer(&file, Some(&scales(&[1, 2, 3]))).is_err());
    }

    #[test]
    fn levels_out_of_order_are_corrupt() {
        let (_folder, file) = header(14, 3, Some(&[1, 0, 13]));
        let error = VarConfig::infer(&file, None).unwrap_err().to_string();
        assert!(error.contains("`lvl_1L` does not count"), "{error}");
    }

    #[test]
    fn plain_attention_loads_with_the_heads_that_its_file_names() {
        let config = VarConfig {
            width: 24,
            heads: 3,
            hidden: 48,
            vocabulary: 10,
            attention: AttentionKind::Plain,
            ..VarConfig::new(2, scales(&[1, 2]))
        };
        let model = config.init(&Initialisation::default(), &Device::flex()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plain.safetensors");
        model.save(&path, Precision::F32, false).unwrap();
        assert_eq!(*Var::open(&path, None, &Device::flex()).unwrap().config(), config);
        // Without the metadata, the heads are unknown.
        save_safetensors(&path, model.tensors(), Precision::F32, &BTreeMap::new()).unwrap();
        let error = Var::open(&path, Some(&scales(&[1, 2])), &Device::flex()).unwrap_err().to_string();
        assert!(error.starts_with("heads: "), "{error}");
    }
}
