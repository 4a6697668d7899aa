//! The rows of texts, which take the place of scale 0.

use std::ops::Range;

use burn::{module::Module, tensor::Tensor};
use nextscale_core::{ConditionRows, Error, Result};

use super::{config::HartConfig, norm::RmsNorm};
use crate::transformer::{
    Linear, Named,
    keys::{Supply, linear, list_linear},
    rows::pick,
};

/// The text encoder's rows to the transformer's.
#[derive(Module, Debug)]
pub struct Context {
    norm: Option<RmsNorm>,
    embed: Linear,
}

/// The rows of texts, and where each text has its own among padding.
#[derive(Debug, Clone)]
pub(super) struct Texts {
    /// `[texts, context, text width]`.
    pub values: Tensor<3>,
    /// `[texts]`, each of `context` flags.
    pub masks: Vec<Vec<bool>>,
}

/// Embedded texts.
#[derive(Debug, Clone)]
pub(crate) struct Embedded {
    /// `[texts, context, width]`.
    pub rows: Tensor<3>,
    pub masks: Vec<Vec<bool>>,
}

impl Texts {
    /// The texts of some conditions, one after the other.
    ///
    /// # Errors
    /// If they are not embeddings with as many rows, and channels, as the model reads.
    pub fn of<'a>(
        conditions: impl IntoIterator<Item = &'a ConditionRows>,
        config: &HartConfig,
    ) -> Result<Self> {
        let (mut parts, mut masks) = (Vec::new(), Vec::new());
        for rows in conditions {
            rows.check()?;
            let ConditionRows::Embeddings { values, mask } = rows else {
                return Err(Error::Unsupported(
                    "HART takes embeddings of a text, and was given rows of a table of classes".into(),
                ));
            };
            let shape @ [batch, ..] = values.dims();
            if shape != [batch, config.context, config.text_width] {
                let expected = format!("[{batch}, {}, {}]", config.context, config.text_width);
                return Err(Error::shape("the embeddings of a text with padding", expected, &shape));
            }
            let flags: Vec<bool> = mask.clone().into_data().iter::<bool>().collect();
            for flags in flags.chunks(config.context) {
                if !flags.contains(&true) {
                    let message = "a text's mask has no row; even the empty one has one";
                    return Err(Error::Unsupported(message.into()));
                }
                masks.push(flags.to_vec());
            }
            parts.push(values.clone());
        }
        Ok(Self { values: Tensor::cat(parts, 0), masks })
    }

    /// Whether all rows of each text have the same values and position, as those of the null text, zeros, have.
    pub fn alike(&self) -> Vec<bool> {
        let same: Vec<bool> =
            positions(&self.masks).map(|row| row.windows(2).all(|pair| pair[0] == pair[1])).collect();
        if !same.contains(&true) {
            return same;
        }
        let distances = (self.values.clone() - self.values.clone().slice_dim(1, 0..1)).abs();
        let distances = distances.max_dim(2).max_dim(1).into_data();
        same.into_iter()
            .zip(distances.iter::<f32>())
            .map(|(same, distance)| same && distance == 0.0)
            .collect()
    }
}

impl Context {
    pub(super) fn build<S: Supply>(supply: &mut S, config: &HartConfig) -> Result<Self, S::Error> {
        let HartConfig { width, text_width, text_norm, .. } = *config;
        let norm = match text_norm {
            true => Some(RmsNorm::build(supply, "context_norm.weight", text_width)?),
            false => None,
        };
        Ok(Self { norm, embed: linear(supply, "context_embed", text_width, width)? })
    }

    pub(super) fn list<'a>(&'a self, names: &mut Vec<Named<'a>>) {
        if let Some(norm) = &self.norm {
            norm.list("context_norm.weight".into(), names);
        }
        list_linear(&self.embed, "context_embed", names);
    }

    pub(super) fn forward(&self, texts: Texts) -> Embedded {
        let Texts { values, masks } = texts;
        let values = match &self.norm {
            Some(norm) => norm.forward(values, self.embed.weight.dtype()),
            None => values,
        };
        Embedded { rows: self.embed.forward(values), masks }
    }
}

impl Embedded {
    /// The mean of each text's own rows, `[texts, 1, width]`.
    pub fn mean(&self) -> Tensor<3> {
        let means = self.masks.iter().enumerate().map(|(text, mask)| {
            let rows = self.rows.clone().slice_dim(0, text..text + 1);
            let own = runs(mask).map(|run| rows.clone().slice_dim(1, run));
            Tensor::cat(own.collect(), 1).mean_dim(1)
        });
        Tensor::cat(means.collect(), 0)
    }

    /// The largest of each channel over all rows, padding included, `[texts, 1, width]`.
    pub fn largest(&self) -> Tensor<3> {
        self.rows.clone().max_dim(1)
    }

    /// The position of every row, `[texts]` of `context` each: rows of padding before a text are at −1, those
    /// after it at its last position.
    pub fn positions(&self) -> Vec<Vec<f32>> {
        positions(&self.masks).collect()
    }

    /// The texts of these ranges.
    pub fn pick(&self, ranges: &[Range<usize>]) -> Self {
        let masks = ranges.iter().cloned().flatten().filter_map(|text| self.masks.get(text).cloned());
        Self { rows: pick(self.rows.clone(), ranges), masks: masks.collect() }
    }
}

/// The position of every row of texts with these masks.
fn positions(masks: &[Vec<bool>]) -> impl Iterator<Item = Vec<f32>> {
    masks.iter().map(|mask| {
        let own = mask.iter().scan(-1.0, |position, &own| {
            *position += if own { 1.0 } else { 0.0 };
            Some(*position)
        });
        own.collect()
    })
}

/// The ranges of flags that are set.
fn runs(mask: &[bool]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    mask.chunk_by(|a, b| a == b).filter_map(move |run| {
        let range = start..start + run.len();
        start = range.end;
        run[0].then_some(range)
    })
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    #[test]
    fn padding_is_on_either_side_and_counts_only_where_upstream_counts_it() {
        let values: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let rows = Tensor::from_data(TensorData::new(values, [3, 4, 1]), &Device::flex());
        let mask = |text: &str| text.chars().map(|c| c == 'x').collect::<Vec<_>>();
        let texts = Embedded { rows, masks: vec![mask("xx.."), mask("..xx"), mask("xxxx")] };
        let host = |x: Tensor<3>| x.into_data().iter::<f32>().collect::<Vec<_>>();
        assert_eq!(host(texts.mean()), [0.5, 6.5, 9.5]);
        assert_eq!(host(texts.largest()), [3.0, 7.0, 11.0]);
        let positions = [[0.0, 1.0, 1.0, 1.0], [-1.0, -1.0, 0.0, 1.0], [0.0, 1.0, 2.0, 3.0]];
        assert_eq!(texts.positions(), positions);
        let picked = texts.pick(&[2..3, 0..1]);
        assert_eq!((host(picked.mean()), picked.masks.len()), (vec![9.5, 0.5], 2));
    }
}
