use std::ops::Range;

use burn::{
    module::{Module, Param},
    tensor::{Bool, DType, Tensor},
};
use nextscale_core::{ConditionRows, Error, Result};
use nextscale_kernels::{mean_last, packed::Then};

use super::config::InfinityConfig;
use crate::transformer::{
    Linear, Named, Weight,
    conditioning::OfRows,
    keys::{Supply, Value, linear, list_linear},
    ops,
};

/// The epsilon of the text's norm.
const EPSILON: f64 = 1e-6;

/// Processes the text encoder's rows: a norm, a vector for the whole text, and the source of every
/// cross-attention.
#[derive(Module, Debug)]
pub struct Text {
    /// The learned rows for no text, `[text_rows, text_width]`.
    unconditional: Param<Tensor<2>>,
    norm: Param<Tensor<1>>,
    pool: Pool,
    up: Linear,
    down: Linear,
}

/// Attention of one learned query over a text.
#[derive(Module, Debug)]
pub struct Pool {
    /// `[1, heads, head width]`.
    query: Param<Tensor<3>>,
    keys_values: KeysValues,
    proj: Linear,
}

/// The keys and values of a text, from one product; keys have no bias.
#[derive(Module, Debug)]
pub struct KeysValues {
    weight: Weight,
    v_bias: Param<Tensor<1>>,
    #[module(skip)]
    heads: usize,
}

/// Which rows belong to which text.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // one per batch and side
pub(super) enum Extent {
    /// Texts of these lengths, concatenated in a batch of one. A text's results are then the same, bit for
    /// bit, whatever other texts there are.
    Ragged(Vec<usize>),
    /// One row of the batch each; this is added to the scores, `[batch, 1, longest]`.
    Padded(Tensor<3>),
}

/// Rows of texts, `[batch, rows, channels]`.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    pub values: Tensor<3>,
    pub extent: Extent,
}

/// Keys and values of some texts, `[texts, rows, heads, head width]`.
#[derive(Debug, Clone)]
struct Group {
    texts: Range<usize>,
    keys: Tensor<4>,
    values: Tensor<4>,
    mask: Option<Tensor<3>>,
}

/// Keys and values of a batch of texts for one attention call: consecutive texts of equal length form a
/// group.
#[derive(Debug, Clone)]
pub(crate) struct Attended {
    groups: Vec<Group>,
    mixed: bool,
}

impl KeysValues {
    fn build<S: Supply>(
        supply: &mut S,
        prefix: &str,
        [inner, width, heads]: [usize; 3],
    ) -> Result<Self, S::Error> {
        Ok(Self {
            v_bias: supply.param(&format!("{prefix}v_bias"), [width])?,
            weight: supply.matrix(&format!("{prefix}mat_kv.weight"), inner, 2 * width)?,
            heads,
        })
    }

    fn list<'a>(&'a self, prefix: &str, names: &mut Vec<Named<'a>>) {
        names.push(Named::new(format!("{prefix}v_bias"), Value::One(&self.v_bias)));
        names.push(Named::new(format!("{prefix}mat_kv.weight"), Value::Matrix(&self.weight)));
    }

    /// The keys, divided by the square root of a head's width as its scores are, and the values.
    fn of(&self, rows: &Rows) -> Attended {
        let [batch, length, _] = rows.values.dims();
        let v_bias = self.v_bias.val();
        let width = v_bias.dims()[0];
        let head_width = width / self.heads;
        let none = Tensor::zeros([2 * width], &v_bias.device());
        let both = self.weight.product(rows.values.clone(), none, Then::Nothing);
        let shape = [batch, length, self.heads, head_width];
        let keys = both.clone().slice_dim(2, 0..width) * (1.0 / (head_width as f64).sqrt());
        let values = both.slice_dim(2, width..2 * width) + v_bias.reshape([1, 1, width]);
        // In the type in which attention multiplies them.
        let [keys, values] = [keys, values].map(|x| self.weight.factor(x).reshape(shape));
        let groups = match &rows.extent {
            Extent::Padded(mask) => vec![Group { texts: 0..batch, keys, values, mask: Some(mask.clone()) }],
            Extent::Ragged(lengths) => grouped(keys, values, lengths),
        };
        Attended { groups, mixed: matches!(self.weight, Weight::Mixed(_)) }
    }
}

/// Keys and values `[1, rows, heads, head width]` of concatenated texts.
fn grouped(keys: Tensor<4>, values: Tensor<4>, lengths: &[usize]) -> Vec<Group> {
    let [_, _, heads, width] = keys.dims();
    let (mut groups, mut text, mut row) = (Vec::new(), 0, 0);
    for same in lengths.chunk_by(|a, b| a == b) {
        let (count, length) = (same.len(), same[0]);
        let part = |x: &Tensor<4>| {
            x.clone().slice_dim(1, row..row + count * length).reshape([count, length, heads, width])
        };
        groups.push(Group {
            texts: text..text + count,
            keys: part(&keys),
            values: part(&values),
            mask: None,
        });
        (text, row) = (text + count, row + count * length);
    }
    groups
}

impl Attended {
    /// Queries `[texts, queries, heads, head width]` over each one's text, to `[texts, queries, width]`.
    pub fn attend(&self, queries: Tensor<4>) -> Tensor<3> {
        let [texts, positions, heads, width] = queries.dims();
        let parts = self.groups.iter().map(|group| {
            let queries = match self.groups.len() {
                1 => queries.clone(),
                _ => queries.clone().slice_dim(0, group.texts.clone()),
            };
            ops::attention_by_image(
                self.mixed,
                queries,
                group.keys.clone(),
                group.values.clone(),
                group.mask.clone(),
            )
        });
        let out = match self.groups.len() {
            1 => parts.collect::<Vec<_>>().remove(0),
            _ => Tensor::cat(parts.collect(), 0),
        };
        out.reshape([texts, positions, heads * width])
    }
}

impl OfRows for Attended {
    fn pick(&self, ranges: &[Range<usize>]) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for text in ranges.iter().cloned().flatten() {
            let Some(group) = self.groups.iter().find(|group| group.texts.contains(&text)) else { continue };
            let at = text - group.texts.start;
            let part = |x: &Tensor<4>| x.clone().slice_dim(0, at..at + 1);
            let (keys, values) = (part(&group.keys), part(&group.values));
            match groups.last_mut().filter(|last| last.keys.dims()[1] == keys.dims()[1]) {
                Some(last) => {
                    last.texts.end += 1;
                    last.keys = Tensor::cat(vec![last.keys.clone(), keys], 0);
                    last.values = Tensor::cat(vec![last.values.clone(), values], 0);
                }
                None => {
                    let start = groups.last().map_or(0, |last| last.texts.end);
                    groups.push(Group { texts: start..start + 1, keys, values, mask: None });
                }
            }
        }
        Self { groups, mixed: self.mixed }
    }
}

impl Pool {
    fn build<S: Supply>(supply: &mut S, config: &InfinityConfig) -> Result<Self, S::Error> {
        let InfinityConfig { width, text_width, pool_heads: heads, .. } = *config;
        let prefix = "text_proj_for_sos.ca.";
        Ok(Self {
            query: supply.param(&format!("{prefix}mat_q"), [1, heads, width / heads])?,
            keys_values: KeysValues::build(supply, prefix, [text_width, width, heads])?,
            proj: linear(supply, &format!("{prefix}proj"), width, width)?,
        })
    }

    /// One vector per text, `[texts, width]`.
    fn forward(&self, rows: &Rows, texts: usize) -> Tensor<2> {
        let query = self.query.val();
        let [_, heads, head_width] = query.dims();
        let query = self.keys_values.weight.factor(query);
        let queries = query.reshape([1, 1, heads, head_width]).repeat_dim(0, texts);
        self.proj.forward(self.keys_values.of(rows).attend(queries)).reshape([texts, heads * head_width])
    }
}

impl Text {
    pub(super) fn build<S: Supply>(supply: &mut S, config: &InfinityConfig) -> Result<Self, S::Error> {
        let InfinityConfig { width, text_width, text_rows, .. } = *config;
        Ok(Self {
            unconditional: supply.param("cfg_uncond", [text_rows, text_width])?,
            norm: supply.param("text_norm.weight", [text_width])?,
            pool: Pool::build(supply, config)?,
            up: linear(supply, "text_proj_for_ca.0", text_width, width)?,
            down: linear(supply, "text_proj_for_ca.2", width, width)?,
        })
    }

    pub(super) fn list<'a>(&'a self, names: &mut Vec<Named<'a>>) {
        names.push(Named::new("cfg_uncond".into(), Value::Table(&self.unconditional)));
        names.push(Named::new("text_norm.weight".into(), Value::One(&self.norm)));
        names.push(Named::new("text_proj_for_sos.ca.mat_q".into(), Value::Three(&self.pool.query)));
        self.pool.keys_values.list("text_proj_for_sos.ca.", names);
        list_linear(&self.pool.proj, "text_proj_for_sos.ca.proj", names);
        list_linear(&self.up, "text_proj_for_ca.0", names);
        list_linear(&self.down, "text_proj_for_ca.2", names);
    }

    /// The learned rows for the absence of text, `[text_rows, text_width]`.
    pub(super) fn unconditional(&self) -> Tensor<2> {
        self.unconditional.val()
    }

    /// Normed rows.
    pub(super) fn normed(&self, rows: Rows) -> Rows {
        let Rows { values: x, extent } = rows;
        let size = mean_last(x.clone() * x.clone()) + EPSILON;
        let width = x.dims()[2];
        Rows { values: x / size.sqrt() * self.norm.val().reshape([1, 1, width]), extent }
    }

    /// One vector per text from its normalised rows, `[texts, width]`: it modulates the blocks, and scale 0
    /// starts from it.
    pub(super) fn pooled(&self, rows: &Rows) -> Tensor<2> {
        let texts = match &rows.extent {
            Extent::Ragged(lengths) => lengths.len(),
            Extent::Padded(_) => rows.values.dims()[0],
        };
        self.pool.forward(rows, texts)
    }

    /// The source of every cross-attention's keys and values, from normalised rows.
    pub(super) fn source(&self, rows: Rows) -> Rows {
        let values = self.down.forward(self.up.forward_gelu(rows.values));
        // Every block multiplies it.
        Rows { values: self.down.weight.factor(values), extent: rows.extent }
    }
}

/// Cross-attention of image tokens over a text.
#[derive(Module, Debug)]
pub struct CrossAttention {
    query: Linear,
    keys_values: KeysValues,
    proj: Linear,
}

impl CrossAttention {
    pub(super) fn build<S: Supply>(
        supply: &mut S,
        prefix: &str,
        [width, heads]: [usize; 2],
    ) -> Result<Self, S::Error> {
        Ok(Self {
            query: linear(supply, &format!("{prefix}mat_q"), width, width)?,
            keys_values: KeysValues::build(supply, prefix, [width, width, heads])?,
            proj: linear(supply, &format!("{prefix}proj"), width, width)?,
        })
    }

    pub(super) fn list<'a>(&'a self, prefix: &str, names: &mut Vec<Named<'a>>) {
        list_linear(&self.query, &format!("{prefix}mat_q"), names);
        self.keys_values.list(prefix, names);
        list_linear(&self.proj, &format!("{prefix}proj"), names);
    }

    /// A text's keys and values, the same for all scales.
    pub(super) fn keys_values(&self, source: &Rows) -> Attended {
        self.keys_values.of(source)
    }

    /// The type of floats that [`forward`](Self::forward) multiplies.
    pub(super) fn dtype(&self) -> DType {
        self.query.weight.dtype()
    }

    /// `[texts, positions, width]` to the same.
    pub(super) fn forward(&self, x: Tensor<3>, text: &Attended) -> Tensor<3> {
        let [texts, positions, width] = x.dims();
        let heads = self.keys_values.heads;
        let queries = self.keys_values.weight.factor(self.query.forward(x));
        let queries = queries.reshape([texts, positions, heads, width / heads]);
        self.proj.forward(text.attend(queries))
    }
}

/// The rows of some conditions, concatenated without padding.
///
/// # Errors
/// If they are not embeddings of this width, a text has no row, or padding stands between rows.
pub(super) fn ragged<'a>(
    conditions: impl IntoIterator<Item = &'a ConditionRows>,
    text_width: usize,
) -> Result<Rows> {
    let (mut parts, mut lengths) = (Vec::new(), Vec::new());
    for rows in conditions {
        let (values, mask) = embeddings(rows, text_width)?;
        for (image, length) in lengths_of(&mask)?.into_iter().enumerate() {
            let image = values.clone().slice_dim(0, image..image + 1);
            parts.push(image.slice_dim(1, 0..length));
            lengths.push(length);
        }
    }
    Ok(Rows { values: Tensor::cat(parts, 1), extent: Extent::Ragged(lengths) })
}

/// The rows of conditions as a padded batch, for training.
///
/// # Errors
/// As [`ragged`].
pub(super) fn padded(rows: &ConditionRows, text_width: usize) -> Result<Rows> {
    let (values, mask) = embeddings(rows, text_width)?;
    lengths_of(&mask)?;
    let [batch, longest] = mask.dims();
    let absent = mask.bool_not();
    // Padding may have any value, even NaN.
    let values =
        values.mask_fill(absent.clone().unsqueeze_dim::<3>(2).expand([batch, longest, text_width]), 0.0);
    let scores = Tensor::<2>::zeros([batch, longest], &values.device()).mask_fill(absent, f32::NEG_INFINITY);
    Ok(Rows { values, extent: Extent::Padded(scores.unsqueeze_dim(1)) })
}

fn embeddings(rows: &ConditionRows, text_width: usize) -> Result<(Tensor<3>, Tensor<2, Bool>)> {
    rows.check()?;
    let ConditionRows::Embeddings { values, mask } = rows else {
        return Err(Error::Unsupported(
            "Infinity takes embeddings of a text, and was given rows of a table of classes".into(),
        ));
    };
    let [batch, longest, width] = values.dims();
    if width != text_width {
        let expected = format!("[{batch}, {longest}, {text_width}]");
        return Err(Error::shape("the embeddings of a text", expected, &[batch, longest, width]));
    }
    Ok((values.clone(), mask.clone()))
}

/// The number of rows of each text.
fn lengths_of(mask: &Tensor<2, Bool>) -> Result<Vec<usize>> {
    let [_, longest] = mask.dims();
    let data = mask.clone().into_data();
    let values: Vec<bool> = data.iter::<bool>().collect();
    let length = |row: &[bool]| {
        let length = row.iter().take_while(|&&there| there).count();
        if length == 0 || row[length..].contains(&true) {
            return Err(Error::Unsupported(format!(
                "a text's mask must begin with at least one row and have no gap; it has {row:?}"
            )));
        }
        Ok(length)
    };
    if longest == 0 {
        return Err(Error::Unsupported("a text has no rows; even the empty one has its end mark".into()));
    }
    values.chunks(longest).map(length).collect()
}
