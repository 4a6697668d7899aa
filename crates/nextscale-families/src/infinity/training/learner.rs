use std::path::Path;

use burn::module::Module;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use nextscale_backbones::infinity::{Infinity, InfinityConfig, Initialisation};
use nextscale_core::{ConditionRows, Dtype};
use nextscale_text::{T5, T5Config};
use nextscale_train::difference::{Difference, differences};
use nextscale_train::optimiser::is_decayed;
use nextscale_train::task::Groups;
use nextscale_train::{Error, Result};
use nextscale_weights::WeightFile;

/// A transformer and the text encoder trained with it.
#[derive(Module, Debug)]
pub struct TextToImage {
    /// Predicts bits from the bits of earlier scales and the rows of a text.
    pub backbone: Infinity,
    /// Encodes a text's tokens as rows.
    pub text: T5,
}

/// The sizes of both.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    pub backbone: InfinityConfig,
    pub text: T5Config,
}

impl TextToImage {
    /// Fresh weights.
    pub(super) fn fresh(
        sizes: &Sizes,
        fresh: &Initialisation,
        device: &Device,
        dtype: Dtype,
    ) -> Result<Self> {
        Ok(Self {
            backbone: sizes.backbone.init_to_train(fresh, device, dtype)?,
            text: sizes
                .text
                .init(fresh.seed, device)
                .map_err(|error| Error::setting("text", error.to_string()))?,
        })
    }

    /// The transformer from one file, and the encoder from another.
    pub(super) fn open(
        sizes: &Sizes,
        [backbone, text]: [&Path; 2],
        device: &Device,
        dtype: Dtype,
    ) -> Result<Self> {
        let open = |path: &Path| {
            let remedy = "give the transformer that a training wrote, beside its text encoder, or None for fresh weights";
            WeightFile::open(path).map_err(|error| Error::setting("start", format!("{error}; {remedy}")))
        };
        let (backbone_file, text_file) = (open(backbone)?, open(text)?);
        let fail = |path: &Path, error: String| Error::data(path, error);
        let found = InfinityConfig::infer(&backbone_file, None);
        let found = found.map_err(|error| fail(backbone, error.to_string()))?;
        let tree = |sizes: &InfinityConfig| {
            serde_json::to_value(sizes).map_err(|error| fail(backbone, error.to_string()))
        };
        same(backbone, &tree(&found)?, &tree(&sizes.backbone)?)?;
        let found = T5Config::infer(&text_file).map_err(|error| fail(text, error.to_string()))?;
        same(text, &text_tree(&found), &text_tree(&sizes.text))?;
        Ok(Self {
            backbone: Infinity::load_to_train(&backbone_file, &sizes.backbone, device, dtype)
                .map_err(|error| fail(backbone, error.to_string()))?,
            text: T5::load(&text_file, &sizes.text, device).map_err(|error| fail(text, error.to_string()))?,
        })
    }

    /// The rows of texts, given as tokens. Texts that are `dropped` get as many of the null condition's rows
    /// as they have tokens; a text that is `None` gets all of them.
    pub(super) fn rows(
        &self,
        texts: &[Option<Vec<u32>>],
        end: u32,
        dropped: &[bool],
    ) -> Result<ConditionRows> {
        let tokens: Vec<&[u32]> =
            texts.iter().map(|text| text.as_deref().unwrap_or(std::slice::from_ref(&end))).collect();
        let mut rows = self.text.rows(&tokens)?;
        let none: Vec<bool> = texts.iter().map(Option::is_none).collect();
        if none.contains(&true) {
            rows = lengthened(rows, &none, self.backbone.config().text_rows)?;
        }
        let dropped: Vec<bool> = none.iter().zip(dropped).map(|(none, dropped)| *none || *dropped).collect();
        Ok(self.backbone.without_text(&rows, &dropped)?)
    }

    /// The optimiser for each parameter: Muon takes the matrices of both models' blocks.
    pub(super) fn groups(&self) -> Groups {
        let mut groups = Groups::default();
        for named in self.backbone.parameters() {
            if is_decayed(&named.key, named.shape().len()) && !UNDECAYED.contains(&&*named.key) {
                groups.decayed.insert(named.id());
            }
            groups.matrices.extend(matrices_in(&named.key).map(|count| (named.id(), count)));
        }
        for named in self.text.parameters() {
            // Embedding and position tables have no weight decay.
            if named.key.ends_with(".weight") && is_text_matrix(&named.key) {
                groups.decayed.insert(named.id());
                groups.matrices.insert(named.id(), 1);
            }
        }
        groups
    }
}

/// Parameters with several axes but no weight decay, like embeddings.
const UNDECAYED: [&str; 2] = ["cfg_uncond", "text_proj_for_sos.ca.mat_q"];

/// How many matrices a block's parameter under upstream's `key` stacks; `None` if it is not such a matrix.
fn matrices_in(key: &str) -> Option<usize> {
    if !key.starts_with("block") {
        return None;
    }
    let is = |name: &str| key.ends_with(name);
    match () {
        () if is("sa.mat_qkv.weight") => Some(3),
        () if is("ca.mat_kv.weight") => Some(2),
        () if is("a.proj.weight") || is("ca.mat_q.weight") || is("fc1.weight") || is("fc2.weight") => Some(1),
        () => None,
    }
}

fn is_text_matrix(key: &str) -> bool {
    ["q", "k", "v", "o"].iter().any(|name| key.ends_with(&format!("SelfAttention.{name}.weight")))
        || ["wi_0", "wi_1", "wo"].iter().any(|name| key.ends_with(&format!("DenseReluDense.{name}.weight")))
}

/// Rows padded to `length`; for texts in `whole`, the mask covers all of it.
fn lengthened(rows: ConditionRows, whole: &[bool], length: usize) -> Result<ConditionRows> {
    let ConditionRows::Embeddings { values, mask } = rows else { return Ok(rows) };
    let [batch, longest, width] = values.dims();
    let device = values.device();
    let missing = length.saturating_sub(longest);
    let values = Tensor::cat(vec![values, Tensor::zeros([batch, missing, width], &device)], 1);
    let places = longest + missing;
    let whole = TensorData::new(whole.to_vec(), [batch, 1]);
    let whole = Tensor::<2, Bool>::from_data(whole, &device).expand([batch, places]);
    let none = Tensor::<2, Int>::zeros([batch, missing], &device).bool();
    let mask = Tensor::cat(vec![mask, none], 1).bool_or(whole);
    Ok(ConditionRows::Embeddings { values, mask })
}

/// An encoder's sizes as a tree, for comparison.
fn text_tree(config: &T5Config) -> serde_json::Value {
    let T5Config { vocabulary, width, depth, heads, head_width, hidden, .. } = *config;
    serde_json::json!({
        "vocabulary": vocabulary, "width": width, "depth": depth, "heads": heads, "head_width": head_width, "hidden": hidden,
    })
}

/// Refuses starting weights of other sizes.
fn same(path: &Path, there: &serde_json::Value, here: &serde_json::Value) -> Result<()> {
    let differences: Vec<String> = differences(there, here)
        .into_iter()
        .map(|Difference { at, first, second }| format!("{at}: {first} there, {second} here"))
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} is another model than `model`, `text`, the tokenizer and the captions make: {}; give what it has, or other weights",
        path.display(),
        differences.join(", ")
    );
    Err(Error::setting("start", message))
}

#[cfg(test)]
mod tests {
    use burn::module::ParamId;
    use nextscale_core::ScaleSchedule;
    use nextscale_train::params::{parameters, replace, take_gradients};

    use super::*;

    fn sizes() -> Sizes {
        let schedule = ScaleSchedule::square(&[1, 2]).unwrap();
        Sizes {
            backbone: InfinityConfig {
                text_width: 8,
                text_rows: 5,
                pool_heads: 2,
                hidden: 32,
                ..InfinityConfig::new([2, 16, 2], 3, schedule)
            },
            text: T5Config { head_width: 4, ..T5Config::new(10, 8, 2, 2, 16) },
        }
    }

    fn model() -> TextToImage {
        let fresh = Initialisation { seed: 1, gate: 1.0 };
        TextToImage::fresh(&sizes(), &fresh, &Device::flex(), Dtype::F32).unwrap()
    }

    #[test]
    fn texts_that_are_dropped_have_as_many_rows_of_no_text_and_none_has_all() {
        let model = model();
        let texts = [Some(vec![4, 5, 1]), Some(vec![6, 1]), None];
        let rows = |dropped: &[bool]| match model.rows(&texts, 1, dropped).unwrap() {
            ConditionRows::Embeddings { values, mask } => {
                let mask: Vec<bool> = mask.into_data().iter::<bool>().collect();
                (values, mask.chunks(5).map(|row| row.iter().filter(|&&it| it).count()).collect::<Vec<_>>())
            }
            other => panic!("{other:?}"),
        };
        let (given, lengths) = rows(&[false, false, false]);
        assert_eq!((given.dims(), lengths.clone()), ([3, 5, 8], vec![3, 2, 5]));
        let (dropped, same) = rows(&[true, false, false]);
        assert_eq!(same, lengths);
        let row = |x: &Tensor<3>, text: usize, count: usize| {
            x.clone().slice([text..text + 1, 0..count]).reshape([count, 8]).into_data()
        };
        let null = |count: usize| model.backbone.null_text().narrow(0, 0, count).into_data();
        assert_eq!(row(&given, 2, 5), null(5));
        assert_eq!(row(&dropped, 0, 3), null(3));
        assert_eq!(row(&dropped, 1, 2), row(&given, 1, 2));
        assert_ne!(row(&given, 0, 3), null(3));
        // Without a `None` text, the batch is as long as its longest text.
        let short = model.rows(&texts[..2], 1, &[true, false]).unwrap();
        let ConditionRows::Embeddings { values, .. } = short else { panic!() };
        assert_eq!((values.dims(), row(&values, 0, 3)), ([2, 3, 8], null(3)));
    }

    /// The gradient of the encoder's parameters is the slope of the loss, and dropped texts do not contribute
    /// to it.
    #[test]
    fn the_text_encoder_learns_through_the_transformer() {
        let device = Device::flex().autodiff();
        let fresh = Initialisation { seed: 1, gate: 1.0 };
        let model = TextToImage::fresh(&sizes(), &fresh, &device, Dtype::F32).unwrap();
        let texts = [Some(vec![4, 5, 1]), Some(vec![6, 1]), None];
        let features = Tensor::<3>::ones([3, 4, 3], &device);
        let loss = |model: &TextToImage| {
            let rows = model.rows(&texts, 1, &[false, true, false]).unwrap();
            let logits = model.backbone.logits(features.clone(), &rows).unwrap();
            (logits.clone() * logits).mean()
        };
        let gradients = take_gradients(&model, loss(&model).backward());
        let numbers = |name: &str| gradients[name].to_data().iter::<f32>().collect::<Vec<_>>();
        let size = |values: &[f32]| values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>();
        let embedding = numbers("text.embedding");
        assert!(size(&embedding[4 * 8..5 * 8]) > 0.0 && size(&embedding[6 * 8..7 * 8]) == 0.0);
        assert!(size(&numbers("backbone.text.unconditional")) > 0.0);

        let square: f64 =
            gradients.keys().filter(|name| name.starts_with("text.")).map(|name| size(&numbers(name))).sum();
        let moved = |step: f64| {
            let moved = replace(model.clone(), |parameter| {
                let gradient =
                    gradients.get(&parameter.name).filter(|_| parameter.name.starts_with("text."))?;
                Some(parameter.values + gradient.clone() * step)
            });
            f64::from(loss(&moved).into_scalar::<f32>())
        };
        let step = 1e-2 / square.sqrt();
        let slope = (moved(step) - moved(-step)) / (2.0 * step);
        assert!((slope / square - 1.0).abs() < 0.03, "{slope} for {square}");
    }

    #[test]
    fn every_matrix_of_blocks_is_moved_by_muon_and_no_embedding_is_decayed() {
        let model = model();
        let groups = model.groups();
        let (backbone, text) = (model.backbone.parameters(), model.text.parameters());
        let of = |id: ParamId| (groups.matrices.get(&id).copied(), groups.decayed.contains(&id));
        let mut counts = [0; 3];
        for named in &backbone {
            let (matrices, decayed) = of(named.id());
            let inside = named.key.starts_with("block") && named.shape().len() == 2;
            assert_eq!(matrices.is_some(), inside, "{}", named.key);
            counts[0] += matrices.unwrap_or(0);
            if ["cfg_uncond", "pos_start", "lvl_embed.weight", "text_proj_for_sos.ca.mat_q"]
                .contains(&&*named.key)
                || named.shape().len() == 1
            {
                assert!(!decayed, "{}", named.key);
            }
            counts[1] += usize::from(decayed);
        }
        for named in &text {
            let (matrices, decayed) = of(named.id());
            assert_eq!(matrices.is_some(), decayed);
            counts[2] += usize::from(decayed);
        }
        // Per block: q, k, v and the output, twice, and two of the MLP.
        assert_eq!(counts[0], 2 * 10);
        assert!(counts[1] > 14, "{counts:?}");
        assert_eq!(counts[2], 2 * 7);
        // The training loop has the same parameters.
        let all: Vec<ParamId> = parameters(&model).into_iter().map(|parameter| parameter.id).collect();
        let mut ids = backbone.iter().map(|named| named.id()).chain(text.iter().map(|named| named.id()));
        assert_eq!(all.len(), backbone.len() + text.len());
        assert!(ids.all(|id| all.contains(&id)));
    }
}
