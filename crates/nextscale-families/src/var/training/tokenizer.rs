use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale_core::{Dtype, ScaleSchedule};
use nextscale_tokenizers::vq::{MultiScaleVq, VqvaeConfig};
use nextscale_train::codes::{CodeUse, Uncounted};
use nextscale_train::config::{AdversarialTerm, Learn, PerceptualTerm, TokenizerSettings};
use nextscale_train::data::Source;
use nextscale_train::optimiser::is_decayed;
use nextscale_train::random::{hash, permutation};
use nextscale_train::{Error, Quantised, Result, TrainableTokenizer, Training, is_classifier};
use nextscale_weights::WeightFile;
use serde::{Deserialize, Serialize};

use super::{Options, Outcome};

/// Key of the random stream that draws codes.
const RESTARTS: u64 = 2;

/// A tokenizer's training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainTokenizer {
    /// The images.
    pub data: Source,
    /// Determines the initial weights, the order of images, flips, and the drawn codes.
    #[serde(default)]
    pub seed: u64,
    /// Updates.
    pub steps: u64,
    /// Images a step.
    pub batch: usize,
    /// Mirror half of the images (augmentation).
    #[serde(default = "yes")]
    pub flips: bool,
    /// The autoencoder and its codes.
    pub model: VqvaeConfig,
    /// Which part is trained.
    #[serde(default)]
    pub learn: Learn,
    /// The scales of tokens, coarse to fine.
    pub scales: ScaleSchedule,
    /// The weight of the error of pixel gradients relative to the squared error.
    #[serde(default = "twentieth")]
    pub gradient_weight: f64,
    /// A distance between a classifier's features, in addition to that of pixels.
    #[serde(default)]
    pub perceptual: Option<PerceptualTerm>,
    /// A discriminator that learns to distinguish reconstructions from images, as an additional term.
    #[serde(default)]
    pub adversarial: Option<AdversarialTerm>,
    /// Initial weights instead of fresh ones, including their codes: training then quantises from the start.
    #[serde(default)]
    pub start: Option<PathBuf>,
    /// The weight of the quantiser's loss.
    #[serde(default = "half")]
    pub quantiser_weight: f64,
    /// Initial steps without quantisation, after which all codes are drawn from the latents.
    #[serde(default = "unquantised")]
    pub unquantised_steps: u64,
    /// Steps between restarts of the codes that no position has used since the last restart; 0 for never.
    #[serde(default = "restart_every")]
    pub restart_every: u64,
    /// The fraction of the run after which codes are no longer restarted.
    #[serde(default = "restart_until")]
    pub restart_until: f64,
    /// The type in which 3×3 convolutions multiply: `f32`, or `bf16` for mixed precision, which is faster on
    /// CPUs that support it. Weights, sums, the quantiser and everything else stay f32.
    #[serde(default)]
    pub dtype: Dtype,
    /// Optimiser, schedule, log.
    #[serde(default)]
    pub training: Training,
}

impl TrainTokenizer {
    /// The settings shared with every tokenizer's training.
    pub fn settings(&self) -> TokenizerSettings {
        TokenizerSettings {
            data: self.data.clone(),
            seed: self.seed,
            steps: self.steps,
            batch: self.batch,
            flips: self.flips,
            learn: self.learn,
            gradient_weight: self.gradient_weight,
            perceptual: self.perceptual.clone(),
            adversarial: self.adversarial.clone(),
            start: self.start.clone(),
            quantiser_weight: self.quantiser_weight,
            dtype: self.dtype,
            training: self.training.clone(),
        }
    }

    /// The same config with paths relative to `base`, the folder of the config's file.
    #[must_use]
    pub fn relative_to(&self, base: &Path) -> Self {
        let perceptual = self.perceptual.as_ref().map(|term| term.relative_to(base));
        let start = self.start.as_ref().map(|start| base.join(start));
        Self { data: self.data.relative_to(base), perceptual, start, ..self.clone() }
    }
}

/// Trains VAR's tokenizer, see [`nextscale_train::train_tokenizer`].
///
/// In the first steps nothing is quantised; then all codes are drawn from the latents, and unused codes are
/// redrawn at intervals. With [`Learn::Decoder`], only the decoder is trained, on the tokens that `start`
/// computes from the images.
///
/// # Errors
/// Those of the data, of the sizes in the config, and of the run.
pub fn train_tokenizer(config: &TrainTokenizer, options: &Options, device: &Device) -> Result<Outcome> {
    config.model.check(&config.scales)?;
    let vocabulary = config.model.vocabulary;
    let kind = VqTraining {
        config,
        since_restart: CodeUse::new(vocabulary),
        since_row: CodeUse::new(vocabulary),
        uncounted: Uncounted::default(),
        device: device.clone(),
    };
    nextscale_train::train_tokenizer(kind, &config.settings(), config, options, device)
}

/// The tokenizer of a file with `scales` in its header, as written by training, including its encoder.
///
/// # Errors
/// [`Error::Data`] if the file cannot be read, has no scales or invalid ones, or is not a tokenizer.
pub fn open_tokenizer(path: &Path, device: &Device) -> Result<MultiScaleVq> {
    let fail = |message: String| Error::data(path, message);
    let file = WeightFile::open(path).map_err(|error| fail(error.to_string()))?;
    load_tokenizer(&file, device).map_err(fail)
}

/// As [`open_tokenizer`], for a file whose header has been read; errors are in words.
fn load_tokenizer(file: &WeightFile, device: &Device) -> Result<MultiScaleVq, String> {
    let Some(scales) = file.metadata().get("scales") else {
        if is_classifier(file) {
            return Err("is a classifier, not a tokenizer".into());
        }
        // Another model's file has no scales either.
        return Err(match VqvaeConfig::infer(file, None) {
            Err(other @ nextscale_weights::Error::OtherModel { .. }) => other.to_string(),
            _ => "has no `scales` in its header; train the tokenizer here, or convert it with its scales"
                .into(),
        });
    };
    let scales: ScaleSchedule = scales.parse().map_err(|error: nextscale_core::Error| error.to_string())?;
    MultiScaleVq::load(file, scales, None, true, device).map_err(|error| error.to_string())
}

/// State carried between steps: which codes were used.
struct VqTraining<'a> {
    config: &'a TrainTokenizer,
    since_restart: CodeUse,
    since_row: CodeUse,
    /// The tokens of the last steps, which are in neither yet.
    uncounted: Uncounted,
    device: Device,
}

impl VqTraining<'_> {
    /// Counts what has not been counted.
    fn count(&mut self) {
        let restart = (self.config.learn == Learn::All).then_some(&mut self.since_restart);
        self.uncounted.count(restart.into_iter().chain([&mut self.since_row]));
    }

    fn quantised(&self, step: u64) -> bool {
        self.config.start.is_some() || step >= self.config.unquantised_steps
    }

    /// Whether all codes are drawn after this step.
    fn begins_codes(&self, step: u64) -> bool {
        self.config.start.is_none() && step + 1 == self.config.unquantised_steps.max(1)
    }

    /// Whether unused codes are redrawn after this step.
    fn restarts_codes(&self, step: u64) -> bool {
        let (every, until) =
            (self.config.restart_every, self.config.restart_until * self.config.steps as f64);
        self.quantised(step) && every > 0 && (step + 1).is_multiple_of(every) && (step as f64) < until
    }
}

/// What a micro-batch contributes to the codes' restarts.
struct Seen {
    /// The tokens of every scale, `[batch, h·w]`; none before there are codes.
    tokens: Vec<Tensor<2, Int>>,
    /// The vectors that the images would have codes for, `[n, channels]`, in steps after which codes are
    /// drawn.
    latents: Option<Tensor<2>>,
}

impl TrainableTokenizer for VqTraining<'_> {
    type Model = MultiScaleVq;
    type Seen = Seen;

    fn fresh(&self, device: &Device) -> Result<MultiScaleVq> {
        Ok(self.config.model.init(self.config.scales.clone(), self.config.seed, device)?)
    }

    fn open(&self, path: &Path, device: &Device) -> Result<MultiScaleVq> {
        let TrainTokenizer { model: sizes, scales, .. } = self.config;
        let model = MultiScaleVq::open(path, scales.clone(), sizes.norm_groups, true, device)
            .map_err(|error| Error::data(path, error.to_string()))?;
        if model.config() != sizes {
            let message =
                format!("{} has the sizes {:?}; `model` says {sizes:?}", path.display(), model.config());
            return Err(Error::setting("start", message));
        }
        Ok(model)
    }

    fn computing_in(&self, model: MultiScaleVq, dtype: Dtype) -> MultiScaleVq {
        model.training_in(dtype)
    }

    fn bytes_of_image(&self, side: usize) -> u128 {
        self.config.model.layout().bytes_of_image(side)
    }

    fn quantise(&self, model: &MultiScaleVq, images: Tensor<4>, step: u64) -> Result<Quantised<Seen>> {
        let f = model.encode_features(images)?;
        if self.quantised(step) {
            let quantised = model.quantize_train(f);
            let tokens = quantised.tokens.into_iter().map(Tensor::inner).collect::<Vec<_>>();
            let draws = self.restarts_codes(step) || self.begins_codes(step);
            let latents = draws.then(|| rows(Tensor::cat(quantised.residuals, 1)));
            let seen = Seen { tokens, latents };
            return Ok(Quantised { canvas: quantised.f_hat, loss: Some(quantised.loss), seen });
        }
        let latents = self.begins_codes(step).then(|| {
            let [batch, channels, height, width] = f.dims();
            let flat = f.clone().inner().reshape([batch, channels, height * width]);
            rows(flat.swap_dims(1, 2))
        });
        Ok(Quantised { canvas: f, loss: None, seen: Seen { tokens: Vec::new(), latents } })
    }

    fn given(&self, tokens: Vec<Tensor<3, Int>>) -> Seen {
        Seen { tokens: codes(tokens), latents: None }
    }

    fn canvas(&self, model: &MultiScaleVq, tokens: &[Tensor<3, Int>]) -> Result<Tensor<4>> {
        let canvas = model.pyramid(&codes(tokens.to_vec()))?.pop();
        canvas.ok_or_else(|| Error::setting("scales", "an empty schedule"))
    }

    fn images(&self, model: &MultiScaleVq, canvas: Tensor<4>) -> Tensor<4> {
        model.vqvae.images(canvas)
    }

    fn is_decayed(&self, name: &str, axes: usize) -> bool {
        // Codes are positions, not weights: decay would pull unused ones to the origin.
        is_decayed(name, axes) && !name.ends_with("embedding.weight")
    }

    fn after_update(&mut self, mut model: MultiScaleVq, step: u64, seen: Vec<Seen>) -> Result<MultiScaleVq> {
        let mut latents = Vec::new();
        for part in seen {
            self.uncounted.push(&part.tokens);
            latents.extend(part.latents);
        }
        if self.uncounted.are_many() || !latents.is_empty() {
            self.count();
        }
        if latents.is_empty() {
            return Ok(model);
        }
        let latents = Tensor::cat(latents, 0);
        let codes: Vec<usize> = if self.begins_codes(step) {
            (0..self.config.model.vocabulary).collect()
        } else {
            self.since_restart.unused()
        };
        self.since_restart.clear();
        if codes.is_empty() {
            return Ok(model);
        }
        let [count, _] = latents.dims();
        let order = permutation(count, &[hash(&[self.config.seed, RESTARTS, step])]);
        let picks: Vec<i64> = order.iter().cycle().take(codes.len()).map(|&i| i64::from(i)).collect();
        let picks = Tensor::<1, Int>::from_data(TensorData::new(picks, [codes.len()]), &self.device);
        model.restart_codes(&codes, latents.select(0, picks))?;
        Ok(model)
    }

    fn window_columns(&self) -> Vec<String> {
        ["codes_used", "perplexity"].map(String::from).to_vec()
    }

    fn window(&mut self) -> Vec<f64> {
        self.count();
        let numbers = vec![self.since_row.used() as f64, self.since_row.perplexity()];
        self.since_row.clear();
        numbers
    }

    fn counters(&self) -> BTreeMap<String, Vec<f32>> {
        let (mut restart, mut row) = (self.since_restart.clone(), self.since_row.clone());
        let counted = (self.config.learn == Learn::All).then_some(&mut restart);
        self.uncounted.clone().count(counted.into_iter().chain([&mut row]));
        let counts = [("codes.restart", restart), ("codes.row", row)];
        counts.map(|(name, codes)| (name.into(), codes.counts().to_vec())).into()
    }

    fn set_counters(&mut self, counters: &BTreeMap<String, Vec<f32>>) {
        for (name, codes) in [("codes.restart", &mut self.since_restart), ("codes.row", &mut self.since_row)]
        {
            if let Some(counts) = counters.get(name) {
                codes.set(counts);
            }
        }
    }

    fn tally(&self, tokens: &[Tensor<3, Int>]) -> Vec<f64> {
        let mut codes = CodeUse::new(self.config.model.vocabulary);
        codes.count(tokens);
        codes.counts().iter().map(|&count| f64::from(count)).collect()
    }

    fn code_use(&self, tally: &[f64]) -> Vec<(String, f64)> {
        let mut codes = CodeUse::new(self.config.model.vocabulary);
        codes.set(&tally.iter().map(|&count| count as f32).collect::<Vec<_>>());
        vec![("codes_used".into(), codes.used() as f64), ("perplexity".into(), codes.perplexity())]
    }

    fn tensors(&self, model: &MultiScaleVq) -> Vec<(String, TensorData)> {
        model.tensors()
    }

    fn metadata(&self, model: &MultiScaleVq) -> BTreeMap<String, String> {
        model.metadata()
    }
}

/// Tokens without the axis of slots, of which a code has only one.
fn codes(tokens: Vec<Tensor<3, Int>>) -> Vec<Tensor<2, Int>> {
    tokens.into_iter().map(|scale| scale.squeeze_dim(2)).collect()
}

/// `[batch, n, channels]` to `[batch · n, channels]`.
fn rows(values: Tensor<3>) -> Tensor<2> {
    let [batch, n, channels] = values.dims();
    values.reshape([batch * n, channels])
}

fn twentieth() -> f64 {
    0.05
}

fn half() -> f64 {
    0.5
}

fn unquantised() -> u64 {
    120
}

fn restart_every() -> u64 {
    25
}

fn restart_until() -> f64 {
    0.7
}

fn yes() -> bool {
    true
}
