//! Infers a model's sizes from its header and the `config.json` beside it.

use std::path::Path;

use nextscale_weights::{Error as WeightError, ExpectedTensors, WeightFile};
use serde::Deserialize;

use super::{config::Qwen2Config, layer};
use crate::{Error, Result};

/// The table of embeddings.
pub(super) const EMBEDDING: &str = "embed_tokens.weight";
/// The weight of the last norm.
pub(super) const NORM: &str = "norm.weight";

/// What a `config.json` says about the model.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Described {
    model_type: Option<String>,
    vocab_size: Option<usize>,
    hidden_size: Option<usize>,
    intermediate_size: Option<usize>,
    num_hidden_layers: Option<usize>,
    num_attention_heads: Option<usize>,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    hidden_act: Option<String>,
    rms_norm_eps: Option<f64>,
    rope_theta: Option<f64>,
    rope_parameters: Option<Rotary>,
    rope_scaling: Option<Rotary>,
    use_sliding_window: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Rotary {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
    r#type: Option<String>,
}

impl Described {
    /// Reads a `config.json`, without which the number of heads is unknown.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::Config {
                path: path.into(),
                detail: "there is no such file, and the weights do not show their number of heads; give the folder \
                         that was published, with its config.json"
                    .into(),
            },
            _ => Error::Io { action: "read", path: path.into(), source: error },
        })?;
        serde_json::from_slice(&text).map_err(|error| Error::Config {
            path: path.into(),
            detail: format!("{error}; it should be the one that was published with the weights"),
        })
    }
}

/// The file at the dictionary that holds the layers; what predicts tokens, or sees images, is outside.
///
/// # Errors
/// If it is not a language model of this kind.
pub(crate) fn rooted(file: &WeightFile) -> Result<WeightFile> {
    let found = file.rooted(EMBEDDING)?;
    if found.info(EMBEDDING).is_none() || found.info("layers.0.self_attn.q_proj.weight").is_none() {
        let names: Vec<_> = file.names().take(3).map(|name| format!("`{name}`")).collect();
        return Err(WeightError::OtherModel {
            file: file.label().into(),
            model: "a Qwen2".into(),
            found: if names.is_empty() { "no tensors".into() } else { names.join(", ") },
        }
        .into());
    }
    Ok(found)
}

impl Qwen2Config {
    /// The sizes of a model from its header and what its `config.json` says.
    ///
    /// # Errors
    /// If the file is not a Qwen2, or the two disagree.
    pub(crate) fn infer(file: &WeightFile, said: &Described, path: &Path) -> Result<Self> {
        let file = rooted(file)?;
        let wrong = |detail: String| Error::Config { path: path.into(), detail };
        supported(said).map_err(wrong)?;
        let [vocabulary, width] = file.shape(EMBEDDING)?;
        let [queries, _] = file.shape("layers.0.self_attn.q_proj.weight")?;
        let [keys, _] = file.shape("layers.0.self_attn.k_proj.weight")?;
        let [hidden, _] = file.shape("layers.0.mlp.gate_proj.weight")?;
        let depth =
            (0..).take_while(|i| file.info(&format!("layers.{i}.mlp.gate_proj.weight")).is_some()).count();
        let sizes = [
            ("vocab_size", said.vocab_size, vocabulary),
            ("hidden_size", said.hidden_size, width),
            ("intermediate_size", said.intermediate_size, hidden),
            ("num_hidden_layers", said.num_hidden_layers, depth),
        ];
        for (field, said, found) in sizes {
            if let Some(said) = said.filter(|&said| said != found) {
                return Err(wrong(format!(
                    "`{field}` is {said}, and the weights beside it have {found}; give the file that was published with them"
                )));
            }
        }
        let unsaid = |field: &str| wrong(format!("`{field}` is missing; give the file that was published"));
        let heads = said.num_attention_heads.ok_or_else(|| unsaid("num_attention_heads"))?;
        let key_heads = said.num_key_value_heads.unwrap_or(heads);
        let head_width = said.head_dim.unwrap_or(queries / heads.max(1));
        for (field, count, channels) in
            [("num_attention_heads", heads, queries), ("num_key_value_heads", key_heads, keys)]
        {
            if count.checked_mul(head_width) != Some(channels) {
                return Err(wrong(format!(
                    "`{field}` is {count}, and {channels} channels are not those of {count} heads of {head_width}"
                )));
            }
        }
        let rotary = said.rope_parameters.as_ref().and_then(|rotary| rotary.rope_theta);
        let config = Self {
            vocabulary,
            width,
            depth,
            heads,
            key_heads,
            head_width,
            hidden,
            theta: said.rope_theta.or(rotary).unwrap_or(10_000.0),
            epsilon: said.rms_norm_eps.unwrap_or(1e-6),
        };
        config.check()?;
        Ok(config)
    }

    /// The tensors of a model of these sizes, by the published keys.
    pub(super) fn expected(&self) -> ExpectedTensors {
        let name = format!("a Qwen2 of {} layers", self.depth);
        let expected = ExpectedTensors::new(name)
            .ignore("*rotary_emb.inv_freq")
            .tensor(EMBEDDING, [self.vocabulary, self.width])
            .tensor(NORM, [self.width]);
        let each = (0..self.depth).flat_map(|i| {
            layer::shapes(self).into_iter().map(move |(name, shape)| (format!("layers.{i}.{name}"), shape))
        });
        each.fold(expected, |expected, (name, shape)| expected.tensor(name, shape))
    }
}

/// Checks every tensor's name and shape in the header.
///
/// # Errors
/// If one is missing, unexpected or misshapen.
pub(crate) fn check(file: &WeightFile, config: &Qwen2Config) -> Result<WeightFile> {
    let file = rooted(file)?;
    config.expected().check(&file)?;
    Ok(file)
}

/// Refuses relatives whose arithmetic differs.
fn supported(said: &Described) -> Result<(), String> {
    if let Some(kind) = said.model_type.as_deref().filter(|kind| !kind.starts_with("qwen2")) {
        return Err(format!("`model_type` is {kind:?}; only qwen2 is supported"));
    }
    if let Some(kind) = said.hidden_act.as_deref().filter(|&kind| kind != "silu") {
        return Err(format!("`hidden_act` is {kind:?}; only silu is supported"));
    }
    if said.use_sliding_window == Some(true) {
        return Err("`use_sliding_window` is true; only full attention is supported".into());
    }
    // On texts, the multimodal form is the plain one.
    let scaling = said.rope_scaling.iter().chain(&said.rope_parameters);
    let kinds = scaling.filter_map(|rotary| rotary.rope_type.as_deref().or(rotary.r#type.as_deref()));
    match kinds.into_iter().find(|kind| !["default", "mrope"].contains(kind)) {
        Some(kind) => Err(format!("its rotary embeddings are scaled ({kind:?}); only default is supported")),
        None => Ok(()),
    }
}
