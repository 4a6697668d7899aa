//! Infers an encoder's sizes from its header and the `config.json` beside it.

use std::path::Path;

use nextscale_weights::{Error as WeightError, WeightFile};
use serde::Deserialize;

use super::{
    config::{EPSILON, FARTHEST, T5Config},
    load::{embedding_in, rooted},
};
use crate::{Error, Result};

/// What a `config.json` says about the encoder; the rest concerns decoding.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Described {
    vocab_size: Option<usize>,
    d_model: Option<usize>,
    d_kv: Option<usize>,
    d_ff: Option<usize>,
    num_layers: Option<usize>,
    num_heads: Option<usize>,
    relative_attention_num_buckets: Option<usize>,
    relative_attention_max_distance: Option<usize>,
    layer_norm_epsilon: Option<f64>,
    feed_forward_proj: Option<String>,
    eos_token_id: Option<u32>,
}

impl Described {
    /// Reads a `config.json`; `None` if there is none.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Io { action: "read", path: path.into(), source }),
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| Error::Config {
            path: path.into(),
            detail: format!("{error}; it should be the one that was published with the weights"),
        })
    }

    /// The id of the token that ends a text.
    pub fn end(&self) -> u32 {
        self.eos_token_id.unwrap_or(1)
    }
}

impl T5Config {
    /// Infers the sizes from a header. The largest distance and the norms' epsilon cannot be inferred from
    /// tensors: they come from the file's metadata, or are those of all published encoders.
    ///
    /// # Errors
    /// If the file is not a T5 encoder with gated feed-forwards.
    pub fn infer(file: &WeightFile) -> Result<Self> {
        let file = rooted(file)?;
        let plain = "encoder.block.0.layer.1.DenseReluDense.wi.weight";
        if file.info(plain).is_some() {
            return Err(Error::Encoder {
                file: file.label().into(),
                detail: format!(
                    "`{plain}` belongs to an original T5, whose feed-forwards have no gate; give a T5 v1.1 or Flan-T5"
                ),
            });
        }
        let [vocabulary, width] = sizes(&file, embedding_in(&file))?;
        let [inner, _] = sizes(&file, "encoder.block.0.layer.0.SelfAttention.q.weight")?;
        let [buckets, heads] =
            sizes(&file, "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight")?;
        let [hidden, _] = sizes(&file, "encoder.block.0.layer.1.DenseReluDense.wi_0.weight")?;
        let depth = (0..)
            .take_while(|i| file.info(&format!("encoder.block.{i}.layer.0.SelfAttention.q.weight")).is_some())
            .count();
        if heads == 0 || !inner.is_multiple_of(heads) {
            return Err(Error::Encoder {
                file: file.label().into(),
                detail: format!("{inner} channels of attention are not those of {heads} heads"),
            });
        }
        let config = Self {
            vocabulary,
            width,
            depth,
            heads,
            head_width: inner / heads,
            hidden,
            buckets,
            farthest: told(&file, "farthest", FARTHEST)?,
            epsilon: told(&file, "epsilon", EPSILON)?,
        };
        config.check()?;
        Ok(config)
    }

    /// These sizes, completed from a `config.json`.
    ///
    /// # Errors
    /// If it describes other weights.
    pub(crate) fn described(mut self, described: &Described, path: &Path) -> Result<Self> {
        let wrong = |detail: String| Error::Config { path: path.into(), detail };
        let sizes = [
            ("vocab_size", described.vocab_size, self.vocabulary),
            ("d_model", described.d_model, self.width),
            ("d_kv", described.d_kv, self.head_width),
            ("d_ff", described.d_ff, self.hidden),
            ("num_layers", described.num_layers, self.depth),
            ("num_heads", described.num_heads, self.heads),
            ("relative_attention_num_buckets", described.relative_attention_num_buckets, self.buckets),
        ];
        for (field, said, found) in sizes {
            if let Some(said) = said.filter(|&said| said != found) {
                return Err(wrong(format!(
                    "`{field}` is {said}, and the weights beside it have {found}; give the file that was published with them"
                )));
            }
        }
        if let Some(kind) = described.feed_forward_proj.as_deref().filter(|&kind| kind != "gated-gelu") {
            return Err(wrong(format!(
                "`feed_forward_proj` is {kind:?}; only gated-gelu is supported (T5 v1.1, Flan-T5)"
            )));
        }
        self.farthest = described.relative_attention_max_distance.unwrap_or(self.farthest);
        self.epsilon = described.layer_norm_epsilon.unwrap_or(self.epsilon);
        self.check()?;
        Ok(self)
    }
}

fn sizes(file: &WeightFile, name: &str) -> Result<[usize; 2], WeightError> {
    let is_encoder = file.names().any(|name| name.starts_with("encoder.block."));
    if file.info(name).is_none() && !is_encoder {
        let names: Vec<_> = file.names().take(3).map(|name| format!("`{name}`")).collect();
        return Err(WeightError::OtherModel {
            file: file.label().into(),
            model: "a T5 encoder".into(),
            found: if names.is_empty() { "no tensors".into() } else { names.join(", ") },
        });
    }
    file.shape(name)
}

/// The value in the metadata, or `otherwise` if it has none.
fn told<T: std::str::FromStr>(file: &WeightFile, name: &str, otherwise: T) -> Result<T> {
    let Some(text) = file.metadata().get(name) else { return Ok(otherwise) };
    text.parse().map_err(|_| Error::Encoder {
        file: file.label().into(),
        detail: format!("its metadata says `{name}` is {text:?}, which is not a number"),
    })
}
