//! The training of Infinity's transformer on the bits of a frozen tokenizer, with bitwise self-correction,
//! together with the T5 encoder of the captions.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_backbones::infinity::Initialisation;
use nextscale_core::Condition;
use nextscale_files::write_atomically;
use nextscale_text::{PromptTokenizer, word_level};
use nextscale_tokenizers::{Tokenizer, bitwise::MultiScaleBsq};
use nextscale_train::captions::Captioner;
use nextscale_train::data::{Dataset, Images, View};
use nextscale_train::task::Groups;
use nextscale_train::{
    Drawing, Error, Lesson, Material, Options, Outcome, Result, TrainableBackbone, is_classifier,
};
use nextscale_weights::{Precision, WeightFile, save_safetensors};

pub use super::config::{TextSizes, TrainInfinity, TransformerSizes};
pub use super::correction::SelfCorrection;
use super::learner::Sizes;
pub use super::learner::TextToImage;
use super::prompts::Prompts;
use crate::training::{Architecture, ModelPart};

/// The files that a finished run writes in addition to the transformer's.
const TEXT: &str = "text.safetensors";
const VOCABULARY: &str = "tokenizer.json";
/// The key in the text encoder's header under which the thresholds of the captions' words are stored.
pub const THRESHOLDS: &str = "thresholds";

/// The architecture that a training's config calls `Infinity`.
pub fn architecture() -> Architecture {
    Architecture::new(ModelPart::Backbone, "Infinity", |config: TrainInfinity, folder, options, device| {
        train_infinity(&config.relative_to(folder), options, device)
    })
}

/// Trains a transformer and its text encoder on captions of the config's data, see
/// [`nextscale_train::train_backbone`]. It writes `backbone.safetensors`, `text.safetensors` and
/// `tokenizer.json`, which make a model together with the tokenizer.
///
/// # Errors
/// Errors of the data, the tokenizer's file, the sizes in the config, and the run.
pub fn train_infinity(config: &TrainInfinity, options: &Options, device: &Device) -> Result<Outcome> {
    config.check()?;
    let tokenizer = Arc::new(open_tokenizer(&config.tokenizer, device)?);
    let backbone = config.transformer(&tokenizer)?;
    let make = |data: &Dataset| {
        let captioner = Captioner::new(data, config.seed);
        let json = word_level(captioner.vocabulary()).map_err(text_error)?;
        let vocabulary = PromptTokenizer::from_bytes(json.as_bytes(), VOCABULARY).map_err(text_error)?;
        for longest in captioner.longest() {
            let tokens = vocabulary.tokens(&longest).map_err(text_error)?.ids.len();
            if tokens > config.text.rows {
                let message = format!(
                    "{} are fewer than the {tokens} tokens of the caption {longest:?}; give at least {tokens}",
                    config.text.rows
                );
                return Err(Error::setting("text.rows", message));
            }
        }
        let sizes = Sizes { backbone, text: config.text.encoder(vocabulary.len())? };
        let tokenizer = Arc::clone(&tokenizer);
        Ok(InfinityTraining { config, tokenizer, sizes, captioner, vocabulary, json })
    };
    let tokenizer: Arc<dyn Tokenizer> = tokenizer.clone();
    nextscale_train::train_backbone(make, tokenizer, &config.settings(), config, options, device)
}

/// Opens the bitwise tokenizer, with its encoder, from a file whose header has the scales, as training writes
/// it.
fn open_tokenizer(path: &Path, device: &Device) -> Result<MultiScaleBsq> {
    let file = WeightFile::open(path).map_err(|error| Error::data(path, error.to_string()))?;
    if is_classifier(&file) {
        return Err(Error::data(path, "is a classifier, not a tokenizer"));
    }
    MultiScaleBsq::load_own(&file, device).map_err(|error| Error::data(path, error.to_string()))
}

fn text_error(error: nextscale_text::Error) -> Error {
    Error::setting("text", error.to_string())
}

struct InfinityTraining<'a> {
    config: &'a TrainInfinity,
    tokenizer: Arc<MultiScaleBsq>,
    sizes: Sizes,
    captioner: Captioner,
    vocabulary: PromptTokenizer,
    /// The vocabulary as written to the file.
    json: String,
}

impl TrainableBackbone for InfinityTraining<'_> {
    type Model = TextToImage;

    fn fresh(&self, device: &Device) -> Result<TextToImage> {
        let fresh = Initialisation { seed: self.config.seed, gate: self.config.model.gate };
        TextToImage::fresh(&self.sizes, &fresh, device, self.config.dtype)
    }

    fn open(&self, start: &Path, device: &Device) -> Result<TextToImage> {
        let vocabulary = start.with_file_name(VOCABULARY);
        let said = std::fs::read_to_string(&vocabulary).map_err(Error::io(&vocabulary))?;
        if said != self.json {
            let message = "is not the vocabulary of these captions; give weights that were trained on them";
            return Err(Error::data(vocabulary, message));
        }
        let files = [start, &start.with_file_name(TEXT)];
        TextToImage::open(&self.sizes, files, device, self.config.dtype)
    }

    fn groups(&self, model: &TextToImage) -> Groups {
        model.groups()
    }

    fn condition(&self, images: &Images, index: usize, view: View, epoch: u64) -> Condition {
        Condition::Prompt(self.captioner.caption(images, index, view, epoch))
    }

    fn condition_name(&self) -> &'static str {
        "caption"
    }

    fn sheet(&self, data: &Dataset, columns: usize) -> Vec<Condition> {
        let rows = data.classes.len().min(SHEET.len());
        let prompt = |row: usize| {
            let thing = data.classes[row].to_lowercase();
            Condition::Prompt(SHEET[row].replace("{}", &thing))
        };
        (0..rows * columns).map(|i| prompt(i / columns)).collect()
    }

    /// Bits are flipped between the features and the labels, so stored tokens do not suffice.
    fn reads_pixels(&self) -> bool {
        true
    }

    fn lesson(&self, tokenizer: &dyn Tokenizer, material: Material, keys: &[u64]) -> Result<Lesson> {
        let images = match material {
            Material::Images(images) => images,
            // Correction needs features.
            Material::Tokens(tokens) => return Ok(Lesson::of_tokens(tokenizer, tokens)?),
        };
        self.config.self_correction.lesson(&self.tokenizer, images, keys)
    }

    fn logits(
        &self,
        model: &TextToImage,
        features: Tensor<3>,
        conditions: &[Condition],
    ) -> Result<Tensor<3>> {
        self.logits_without(model, features, conditions, &vec![false; conditions.len()])
    }

    fn logits_without(
        &self,
        model: &TextToImage,
        features: Tensor<3>,
        conditions: &[Condition],
        dropped: &[bool],
    ) -> Result<Tensor<3>> {
        let tokens = |condition: &Condition| match condition {
            Condition::Prompt(text) => Ok(Some(self.vocabulary.tokens(text).map_err(text_error)?.ids)),
            Condition::Null => Ok(None),
            other => {
                Err(Error::setting("condition", format!("this model learns from texts, not from {other}")))
            }
        };
        let texts = conditions.iter().map(tokens).collect::<Result<Vec<_>>>()?;
        let rows = model.rows(&texts, self.vocabulary.end(), dropped)?;
        Ok(model.backbone.logits(features, &rows)?)
    }

    fn drawing(&self, model: &TextToImage) -> Result<Drawing> {
        let TextToImage { backbone, text } = model.clone();
        let prompts = Prompts { text, vocabulary: self.vocabulary.clone(), null: backbone.null_text() };
        Ok(Drawing { backbone: Arc::new(backbone), conditioner: Arc::new(prompts) })
    }

    fn tensors(&self, model: &TextToImage) -> Vec<(String, TensorData)> {
        model.backbone.tensors().collect()
    }

    fn metadata(&self, model: &TextToImage, _: &Dataset) -> BTreeMap<String, String> {
        model.backbone.metadata()
    }

    fn write_beside(&self, model: &TextToImage, folder: &Path) -> Result<()> {
        let path = folder.join(TEXT);
        let fail = |error: String| Error::data(&path, error);
        let mut metadata = model.text.metadata();
        let thresholds = serde_json::to_string(self.captioner.thresholds());
        metadata.insert(THRESHOLDS.into(), thresholds.map_err(|error| fail(error.to_string()))?);
        save_safetensors(&path, model.text.tensors(), Precision::F16, &metadata)
            .map_err(|error| fail(error.to_string()))?;
        let path = folder.join(VOCABULARY);
        write_atomically(&path, self.json.as_bytes()).map_err(Error::io(&path))
    }
}

/// The prompts of a sample sheet, one per row, with the classes in their order.
const SHEET: [&str; 10] = [
    "a white {}",
    "a red {}",
    "a bright photo of a {}",
    "a dark photo of a {}",
    "a {} in a warm picture",
    "a brown {}",
    "a green {}",
    "a {} in a dark, cold picture",
    "a blue {}",
    "a red {}",
];
