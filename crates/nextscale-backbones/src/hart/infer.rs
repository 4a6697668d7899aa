use nextscale_core::{Error, ScaleSchedule};
use nextscale_weights::{Error as WeightError, LoadError, WeightFile};

use super::{
    config::{HartConfig, Levels, Modulated, Pooling, ResidualConfig, STEPS, cfg},
    described::Described,
};
use crate::transformer::AttentionKind;

/// A tensor of every HART transformer.
const MARKER: &str = "context_embed.weight";
/// The norm of the first block, which no other family's transformer has beside it.
const NORM: &str = "blocks.0.ln_wo_grad.weight";

impl HartConfig {
    /// Whether a file is a HART transformer, judging by its names.
    pub fn is_of(file: &WeightFile) -> bool {
        Self::rooted(file).is_ok_and(|file| file.info(MARKER).is_some() && file.info(NORM).is_some())
    }

    /// The file at the dictionary that holds the transformer. Unchanged if there is none.
    ///
    /// # Errors
    /// If several dictionaries hold one.
    pub fn rooted(file: &WeightFile) -> Result<WeightFile, WeightError> {
        file.rooted(MARKER)
    }

    /// Infers the architecture from a checkpoint's header and the `config.json` beside it, which has what
    /// tensors do not show: scales, heads and rows of a text. Where both say something they must agree. Files
    /// written here have it in their metadata.
    ///
    /// The scales are `scales` if given.
    ///
    /// # Errors
    /// If the file is not a HART transformer, is of a kind that is not supported, or does not fit its
    /// description.
    pub fn infer(
        file: &WeightFile,
        described: Option<&Described>,
        scales: Option<&ScaleSchedule>,
    ) -> Result<Self, LoadError> {
        let file = Self::rooted(file)?;
        if !Self::is_of(&file) {
            let names: Vec<_> = file.names().take(3).map(|name| format!("`{name}`")).collect();
            return Err(WeightError::OtherModel {
                file: file.label().into(),
                model: "a HART transformer".into(),
                found: if names.is_empty() { "no tensors".into() } else { names.join(", ") },
            }
            .into());
        }
        let none = Described::default();
        let said = described.unwrap_or(&none);
        supported(said, &file)?;
        let [width, text_width] = file.shape(MARKER)?;
        let [_, feature_channels] = file.shape("word_embed.weight")?;
        let [vocabulary, _] = file.shape("head.weight")?;
        let [hidden, _] = file.shape("blocks.0.ffn.gate_proj.weight")?;
        let depth = count(&file, |i| format!("blocks.{i}.ln_wo_grad.weight"));
        let scale = file.info("blocks.0.attn.scale_mul_1H11");
        let own_heads = scale.map(|info| info.shape.get(1).copied().unwrap_or(0));
        agree(&file, "depth", said.depth, depth)?;
        agree(&file, "embed_dim", said.embed_dim, width)?;
        agree(&file, "context_dim", said.context_dim, text_width)?;
        if let Some(heads) = own_heads {
            agree(&file, "num_heads", said.num_heads, heads)?;
        }
        let heads = own_heads.or(said.num_heads).or(entry(&file, "heads")?);
        let schedule = match scales {
            Some(scales) => scales.clone(),
            None => own_scales(&file, said)?,
        };
        let config = Self {
            depth,
            width,
            heads: heads.ok_or_else(|| unsaid(&file, "num_heads"))?,
            hidden,
            vocabulary,
            feature_channels,
            context: match said.context_token.or(entry(&file, "context")?) {
                Some(context) => context,
                None => return Err(unsaid(&file, "context_token").into()),
            },
            text_width,
            text_norm: file.info("context_norm.weight").is_some(),
            levels: match file.info("lvl_embed.weight") {
                Some(info) => Levels::Table(info.shape.first().copied().unwrap_or(0)),
                None => Levels::Sinusoids,
            },
            modulated: modulated(&file, said)?,
            attention: if scale.is_some() { AttentionKind::L2 } else { AttentionKind::Plain },
            residual: residual(&file, said, &schedule)?,
            schedule,
        };
        config.check()?;
        Ok(config)
    }
}

/// Refuses kinds of models that were not published.
fn supported(said: &Described, file: &WeightFile) -> Result<(), Error> {
    let refuse = |field: &str, found: &str, known: &str| {
        let message = format!("{found:?} beside {}; only {known} is supported", file.label());
        Err(Error::setting(field, message))
    };
    if let Some(kind) = said.model_type.as_deref().filter(|kind| !kind.starts_with("hart_transformer")) {
        return refuse("model_type", kind, "hart_transformer_t2i");
    }
    for (field, found) in [("attn_type", &said.attn_type), ("mlp_type", &said.mlp_type)] {
        if let Some(kind) = found.as_deref().filter(|kind| *kind != "llama") {
            return refuse(field, kind, "llama");
        }
    }
    match said.use_cross_attn {
        Some(true) => refuse("use_cross_attn", "true", "false"),
        _ => Ok(()),
    }
}

/// Checks that a description and the tensors agree.
fn agree(file: &WeightFile, field: &str, said: Option<usize>, found: usize) -> Result<(), Error> {
    match said {
        Some(said) if said != found => Err(Error::setting(
            field,
            format!(
                "config.json says {said}, and {} has {found}; take the config.json that was published with it",
                file.label()
            ),
        )),
        _ => Ok(()),
    }
}

fn unsaid(file: &WeightFile, field: &str) -> Error {
    let message = format!(
        "nothing says it for {}: give the folder with the config.json that was published with it",
        file.label()
    );
    Error::setting(field, message)
}

/// How many tensors are numbered without a gap. The check of all names reports the rest as unexpected.
fn count(file: &WeightFile, name: impl Fn(usize) -> String) -> usize {
    (0..).take_while(|&i| file.info(&name(i)).is_some()).count()
}

/// An entry of the file's metadata.
fn entry<T: std::str::FromStr>(file: &WeightFile, name: &str) -> Result<Option<T>, Error> {
    let Some(text) = file.metadata().get(name) else { return Ok(None) };
    let refused = |_| Error::setting(name, format!("{} says {text:?} in its header", file.label()));
    text.parse().map(Some).map_err(refused)
}

fn own_scales(file: &WeightFile, said: &Described) -> Result<ScaleSchedule, Error> {
    let Some(sides) = &said.patch_nums else {
        return entry(file, "scales")?.ok_or_else(|| unsaid(file, "patch_nums"));
    };
    let sides = sides.sides().ok_or_else(|| {
        Error::setting("patch_nums", format!("{sides:?} is not a list of sides like [1, 2, 3]"))
    })?;
    ScaleSchedule::square(&sides)
}

fn modulated(file: &WeightFile, said: &Described) -> Result<Modulated, Error> {
    if file.info("blocks.0.scale_shift_table").is_some() {
        return Ok(Modulated::ByOffset);
    }
    if file.info("blocks.0.ada_lin.1.weight").is_none() {
        return Ok(Modulated::Nothing);
    }
    let own: Option<String> = entry(file, "pooling")?;
    match said.sep_aln_pooling_mode.as_deref().or(own.as_deref()) {
        Some("avg") => Ok(Modulated::ByProjection(Pooling::Mean)),
        None | Some("max") => Ok(Modulated::ByProjection(Pooling::Max)),
        Some(other) => {
            Err(Error::setting("sep_aln_pooling_mode", format!("{other:?}; it can be \"avg\" or \"max\"")))
        }
    }
}

fn residual(
    file: &WeightFile,
    said: &Described,
    schedule: &ScaleSchedule,
) -> Result<Option<ResidualConfig>, LoadError> {
    const INPUT: &str = "diffloss.net.input_proj.weight";
    if file.info(INPUT).is_none() {
        return Ok(None);
    }
    let [width, _] = file.shape(INPUT)?;
    let depth = count(file, |i| format!("diffloss.net.res_blocks.{i}.in_ln.weight"));
    let steps = match &said.num_sampling_steps {
        Some(steps) => steps.number().ok_or_else(|| {
            Error::setting("num_sampling_steps", format!("{steps:?} is not a number of steps"))
        })?,
        None => entry(file, "steps")?.unwrap_or(STEPS),
    };
    Ok(Some(ResidualConfig { width, depth, steps, cfg: cfg(schedule) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hart::fixtures::{config, described, opened, schedule};

    #[test]
    fn the_reference_models_are_told_by_their_headers() {
        for (group, depth, modulated, levels, text_norm, attention) in [
            ("main", 3, Modulated::Nothing, Levels::Sinusoids, true, AttentionKind::Plain),
            ("shared_aln", 2, Modulated::ByOffset, Levels::Sinusoids, true, AttentionKind::Plain),
            (
                "ada_lin",
                2,
                Modulated::ByProjection(Pooling::Mean),
                Levels::Table(6),
                false,
                AttentionKind::L2,
            ),
        ] {
            let expected = HartConfig {
                schedule: schedule(),
                depth,
                width: 48,
                heads: 4,
                hidden: 256,
                vocabulary: 96,
                feature_channels: 8,
                context: 7,
                text_width: 40,
                text_norm,
                levels,
                modulated,
                attention,
                residual: Some(ResidualConfig { width: 32, depth: 2, steps: 8, cfg: 3.0 * 4.0 / 5.0 }),
            };
            assert_eq!(config(group), expected, "{group}");
            expected.expected().check(&opened(&format!("{group}/llm/model.safetensors"))).unwrap();
        }
        let averaged = opened("main/llm/ema_model.bin");
        assert!(HartConfig::is_of(&averaged));
        config("main").expected().check(&averaged).unwrap();
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let file = opened("main/llm/model.safetensors");
        let told = |change: &dyn Fn(&mut Described)| {
            let mut said = described("main");
            change(&mut said);
            HartConfig::infer(&file, Some(&said), None).unwrap_err().to_string()
        };
        assert!(told(&|said| said.depth = Some(4)).starts_with("depth: config.json says 4, and"));
        assert!(told(&|said| said.embed_dim = Some(64)).starts_with("embed_dim: config.json says 64"));
        assert!(told(&|said| said.context_dim = Some(1536)).starts_with("context_dim"));
        assert!(told(&|said| said.num_heads = None).starts_with("num_heads: nothing says it"));
        assert!(told(&|said| said.num_heads = Some(5)).starts_with("heads: 5 does not divide"));
        assert!(told(&|said| said.context_token = None).starts_with("context_token: nothing says it"));
        assert!(told(&|said| said.patch_nums = None).starts_with("patch_nums: nothing says it"));
        assert!(told(&|said| said.attn_type = Some("gpt2".into())).contains("only llama is supported"));
        assert!(told(&|said| said.use_cross_attn = Some(true)).starts_with("use_cross_attn"));
        assert!(told(&|said| said.model_type = Some("qwen2".into())).starts_with("model_type"));
        let sides = |sides: &[usize]| Some(super::super::described::PatchNums::List(sides.to_vec()));
        assert!(told(&|said| said.patch_nums = sides(&[2, 4])).starts_with("scales: the first is 2×2"));
        let error = HartConfig::infer(&file, None, None).unwrap_err().to_string();
        assert!(error.contains("config.json that was published with it"), "{error}");
        let other = opened("tokenizer/model.safetensors");
        let error = HartConfig::infer(&other, None, None).unwrap_err().to_string();
        assert!(error.contains("is not a HART transformer"), "{error}");
    }
}
