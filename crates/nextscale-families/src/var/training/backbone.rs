use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_backbones::Conditioner;
use nextscale_backbones::var::{AdaLn, AttentionKind, Initialisation, Var, VarConfig};
use nextscale_core::{Condition, Dtype, PassCondition};
use nextscale_tokenizers::Tokenizer;
use nextscale_train::config::BackboneSettings;
use nextscale_train::data::{Dataset, Source};
use nextscale_train::difference::{Difference, differences};
use nextscale_train::optimiser::is_decayed;
use nextscale_train::task::Groups;
use nextscale_train::{Drawing, Error, Result, TrainableBackbone, Training};
use nextscale_weights::WeightFile;
use serde::{Deserialize, Serialize};

use super::{Options, Outcome, open_tokenizer};

/// A backbone's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainBackbone {
    /// The images.
    pub data: Source,
    /// The tokenizer's weights, written by its training.
    pub tokenizer: PathBuf,
    /// Determines the initial weights, the order of images and the dropped labels.
    #[serde(default)]
    pub seed: u64,
    /// Updates.
    pub steps: u64,
    /// Images a step.
    pub batch: usize,
    /// Train on mirrored images too (augmentation).
    #[serde(default = "yes")]
    pub flips: bool,
    /// Train on images shifted by up to this many pixels in each direction, differently in each epoch
    /// (augmentation); edges are filled by reflection. Tokens are then computed in every step and not stored.
    #[serde(default)]
    pub shift: usize,
    /// The transformer.
    pub model: BackboneModel,
    /// Initial weights instead of fresh ones: a backbone of the same sizes, on the same tokens. Missing
    /// blocks are added after its own and begin as the identity.
    #[serde(default)]
    pub start: Option<PathBuf>,
    /// The fraction of labels that are replaced by the null class, for classifier-free guidance.
    #[serde(default = "tenth")]
    pub label_dropout: f64,
    /// The type in which linear layers and attention multiply: `f32`, or `bf16` for mixed precision, which is
    /// faster on CPUs that support it. Weights, sums, the softmax and everything else stay f32.
    #[serde(default)]
    pub dtype: Dtype,
    /// Optimiser, schedule, log.
    #[serde(default)]
    pub training: Training,
}

/// The sizes of a VAR transformer; the rest follows from the tokenizer and the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackboneModel {
    /// Blocks.
    pub depth: usize,
    /// Channels of the hidden states.
    pub width: usize,
    /// Attention heads; they must divide the width.
    pub heads: usize,
    /// Channels inside the MLP; by default 4 times the width.
    #[serde(default)]
    pub hidden: Option<usize>,
    /// Where the blocks' modulation comes from.
    #[serde(default = "per_block")]
    pub ada_ln: AdaLn,
    /// How attention computes its scores.
    #[serde(default = "l2")]
    pub attention: AttentionKind,
    /// The initial scale of the AdaLN rows that produce gates, relative to the other weights' standard
    /// deviation.
    #[serde(default = "gate")]
    pub gate: f64,
}

impl TrainBackbone {
    /// The settings shared with every backbone's training.
    pub fn settings(&self) -> BackboneSettings {
        BackboneSettings {
            data: self.data.clone(),
            tokenizer: self.tokenizer.clone(),
            seed: self.seed,
            steps: self.steps,
            batch: self.batch,
            flips: self.flips,
            shift: self.shift,
            start: self.start.clone(),
            label_dropout: self.label_dropout,
            dtype: self.dtype,
            training: self.training.clone(),
        }
    }

    /// The same config with paths relative to `base`, the folder of the config's file.
    #[must_use]
    pub fn relative_to(&self, base: &Path) -> Self {
        Self {
            data: self.data.relative_to(base),
            tokenizer: base.join(&self.tokenizer),
            start: self.start.as_ref().map(|start| base.join(start)),
            ..self.clone()
        }
    }
}

/// Trains a VAR transformer on the tokens of the config's tokenizer and data; see
/// [`nextscale_train::train_backbone`].
///
/// # Errors
/// Those of the data, of the tokenizer's file, of the sizes in the config, and of the run.
pub fn train_backbone(config: &TrainBackbone, options: &Options, device: &Device) -> Result<Outcome> {
    let settings = config.settings();
    settings.check()?;
    let tokenizer: Arc<dyn Tokenizer> = Arc::new(open_tokenizer(&config.tokenizer, device)?);
    // The number of classes is the data's, which are read later.
    sizes(config, 1, &*tokenizer).check()?;
    let make = |data: &Dataset| {
        Ok(VarTraining {
            sizes: sizes(config, data.classes.len(), &*tokenizer),
            fresh: Initialisation { seed: config.seed, gate: config.model.gate },
            dtype: config.dtype,
        })
    };
    nextscale_train::train_backbone(make, Arc::clone(&tokenizer), &settings, config, options, device)
}

fn sizes(config: &TrainBackbone, classes: usize, tokenizer: &dyn Tokenizer) -> VarConfig {
    let model = &config.model;
    VarConfig {
        schedule: tokenizer.schedule().clone(),
        depth: model.depth,
        width: model.width,
        heads: model.heads,
        hidden: model.hidden.unwrap_or(model.width.saturating_mul(4)),
        vocabulary: tokenizer.alphabet().classes,
        classes,
        feature_channels: tokenizer.input_channels(),
        ada_ln: model.ada_ln,
        attention: model.attention,
    }
}

/// How many matrices are side by side in a block's parameter under upstream's `key`: the projections to
/// queries, keys and values form one parameter. `None` for anything else.
fn matrices_in(key: &str) -> Option<usize> {
    let inside = key.strip_prefix("blocks.")?;
    let is = |name: &str| inside.ends_with(name);
    match () {
        () if is("attn.mat_qkv.weight") => Some(3),
        () if is("attn.proj.weight") || is("ffn.fc1.weight") || is("ffn.fc2.weight") => Some(1),
        () => None,
    }
}

struct VarTraining {
    sizes: VarConfig,
    fresh: Initialisation,
    dtype: Dtype,
}

impl TrainableBackbone for VarTraining {
    type Model = Var;

    fn fresh(&self, device: &Device) -> Result<Var> {
        Ok(self.sizes.init_to_train(&self.fresh, device, self.dtype)?)
    }

    /// The weights of a file whose sizes equal the config's, except for missing blocks, which begin as the
    /// identity.
    fn open(&self, start: &Path, device: &Device) -> Result<Var> {
        let sizes = &self.sizes;
        let fail = |message: String| Error::data(start, message);
        let file = WeightFile::open(start).map_err(|error| {
            Error::setting(
                "start",
                format!("{error}; give weights written by a training, or None for fresh ones"),
            )
        })?;
        let found = VarConfig::infer(&file, None).map_err(|error| fail(error.to_string()))?;
        let comparable = VarConfig { depth: found.depth.max(sizes.depth), ..found };
        let tree = |sizes: &VarConfig| serde_json::to_value(sizes).map_err(|error| fail(error.to_string()));
        let (there, here) = (tree(&comparable)?, tree(sizes)?);
        let differences: Vec<String> = differences(&there, &here)
            .into_iter()
            .map(|Difference { at, first, second }| format!("{at}: {first} there, {second} here"))
            .collect();
        if !differences.is_empty() {
            let message = format!(
                "{} is another model than `model`, the tokenizer and the data make: {}; give what it has, where only `depth` may be \
                 greater, or other weights",
                start.display(),
                differences.join(", ")
            );
            return Err(Error::setting("start", message));
        }
        Var::load_to_train(&file, sizes, &self.fresh, device, self.dtype)
            .map_err(|error| fail(error.to_string()))
    }

    fn bytes_of_image(&self, positions: usize) -> u128 {
        self.sizes.bytes_of_image(positions)
    }

    fn groups(&self, model: &Var) -> Groups {
        let parameters = model.parameters();
        let decayed = parameters.iter().filter(|p| is_decayed(&p.key, p.shape().len())).map(|p| p.id());
        let matrices = parameters.iter().filter_map(|p| Some((p.id(), matrices_in(&p.key)?)));
        Groups { decayed: decayed.collect(), matrices: matrices.collect() }
    }

    fn logits(&self, model: &Var, features: Tensor<3>, conditions: &[Condition]) -> Result<Tensor<3>> {
        let rows = model.conditioner().rows(conditions, PassCondition::Given)?;
        Ok(model.logits(features, &rows)?)
    }

    fn drawing(&self, model: &Var) -> Result<Drawing> {
        Ok(Drawing { backbone: Arc::new(model.clone()), conditioner: Arc::new(model.conditioner()) })
    }

    fn tensors(&self, model: &Var) -> Vec<(String, TensorData)> {
        // Of the buffers only the levels, from which readers infer the scales.
        let levels = model.buffers().into_iter().filter(|(key, _)| key == "lvl_1L");
        model.tensors().chain(levels).collect()
    }

    fn metadata(&self, model: &Var, data: &Dataset) -> BTreeMap<String, String> {
        let mut metadata = model.metadata();
        metadata.insert("class_names".into(), data.classes.join("\n"));
        metadata
    }
}

fn yes() -> bool {
    true
}

fn tenth() -> f64 {
    0.1
}

fn gate() -> f64 {
    1e-3
}

fn per_block() -> AdaLn {
    AdaLn::PerBlock
}

fn l2() -> AttentionKind {
    AttentionKind::L2
}
