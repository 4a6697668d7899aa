//! Training of VAR's multi-scale VQ tokenizer.

mod fixed;
mod terms;

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale_core::{Dtype, ScaleSchedule};
use nextscale_tokenizers::Tokenizer;
use nextscale_tokenizers::vq::MultiScaleVq;
use nextscale_weights::{Precision, WeightFile, save_safetensors};

use crate::adversarial::Game;
use crate::classifier::Classifier;
use crate::codes::CodeUse;
use crate::config::{Learn, TrainTokenizer};
use crate::data::{Dataset, Images, View};
use crate::discriminator::Discriminator;
use crate::evaluation::Evaluation;
use crate::mixed::check_dtype;
use crate::optimiser::{Groups, is_decayed};
use crate::params::parameters;
use crate::perceptual::Perceptual;
use crate::pixel_loss::{gradient_error, image_errors, psnr, squared_error};
use crate::random::{Order, hash, permutation, uniform};
use crate::run::{Options, Outcome, train_task};
use crate::sheet::write_sheet;
use crate::task::{Loss, Task};
use crate::{Error, Result};

use fixed::{Fixed, canvas};
use terms::Terms;

/// The file of weights that a finished run leaves.
pub const WEIGHTS: &str = "tokenizer.safetensors";
/// Images of the test split that a short evaluation takes.
const SHORT: usize = 500;
/// Images evaluated at a time.
const BATCH: usize = 100;
/// Images in a sample sheet, each above its reconstruction.
const SAMPLES: usize = 16;
/// Keys of the streams of random numbers.
const FLIPS: u64 = 1;
const RESTARTS: u64 = 2;

/// Trains a tokenizer from nothing and writes `WEIGHTS` when done.
///
/// The loss is the squared error of the reconstruction, plus weighted the error of its pixel gradients, the quantiser's,
/// the distance that a classifier sees, and the verdict of a discriminator that learns beside it. For the first steps
/// nothing is quantised; then all codes are drawn from the latents, and codes that no position chose are drawn anew at
/// intervals. With [`Learn::Decoder`] the decoder alone is trained, on the tokens that `start` makes of the images.
///
/// # Errors
/// Those of the data, of the sizes in the config, and of the run.
pub fn train_tokenizer(config: &TrainTokenizer, options: &Options, device: &Device) -> Result<Outcome> {
    config.check()?;
    check_dtype(config.dtype, device)?;
    let data = config.data.load()?;
    let training_device = device.clone().autodiff();
    let autoencoder = match &config.start {
        None => config.model.init(config.scales.clone(), config.seed, &training_device)?,
        Some(start) => begin_from(start, config, &training_device)?,
    };
    let autoencoder = autoencoder.training_in(config.dtype);
    if autoencoder.image_size() != (data.train.size, data.train.size) {
        return Err(Error::setting(
            "scales",
            format!(
                "make images of {:?} pixels; the data has {size}×{size}",
                autoencoder.image_size(),
                size = data.train.size
            ),
        ));
    }
    let perceptual = match &config.perceptual {
        Some(term) => {
            let classifier = open_classifier(&term.classifier, data.train.size, &training_device)?;
            Some(Perceptual::new(classifier.computing_in(config.dtype)))
        }
        None => None,
    };
    let discriminator = match &config.adversarial {
        Some(term) => {
            check_granularity(data.train.size)?;
            Some(
                Discriminator::init(term.channels, config.seed, &training_device)?.computing_in(config.dtype),
            )
        }
        None => None,
    };
    let fixed = match (config.learn, &config.start) {
        (Learn::Decoder, Some(start)) => Some(Fixed::open(start, config, &data, options, device)?),
        _ => None,
    };
    let model = Networks { autoencoder, discriminator };
    let vocabulary = config.model.vocabulary;
    let mut task = TokenizerTask {
        config,
        order: Order::new(data.train.len(), config.seed),
        data,
        since_restart: CodeUse::new(vocabulary),
        since_row: CodeUse::new(vocabulary),
        fixed,
        perceptual,
        device: device.clone(),
    };
    train_task(&mut task, model, (config.steps, config.batch), &config.training, config, options, device)
}

/// The tokenizer of a file with `scales` in its header, as training writes it, with its encoder.
///
/// # Errors
/// [`Error::Data`] if the file cannot be read, has no scales or none that a generation can follow, or holds no tokenizer.
pub fn open_tokenizer(path: &Path, device: &Device) -> Result<MultiScaleVq> {
    let fail = |message: String| Error::data(path, message);
    let file = WeightFile::open(path).map_err(|error| fail(error.to_string()))?;
    let scales = file.metadata().get("scales").ok_or_else(|| {
        fail("has no `scales` in its header; train the tokenizer here, or convert it with its scales".into())
    })?;
    let scales: ScaleSchedule =
        scales.parse().map_err(|error: nextscale_core::Error| fail(error.to_string()))?;
    MultiScaleVq::load(&file, scales, None, true, device).map_err(|error| fail(error.to_string()))
}

/// The classifier of a file, where it can take the images.
fn open_classifier(path: &Path, size: usize, device: &Device) -> Result<Classifier> {
    let classifier = Classifier::open(path, device)?;
    if !size.is_multiple_of(classifier.granularity()) {
        let sides = classifier.granularity();
        let message =
            format!("takes images whose sides are multiples of {sides} pixels; the data has {size}×{size}");
        return Err(Error::data(path, message));
    }
    Ok(classifier)
}

/// Checks that the discriminator can halve the images.
fn check_granularity(size: usize) -> Result<()> {
    let sides = Discriminator::GRANULARITY;
    if !size.is_multiple_of(sides) {
        let message =
            format!("takes images whose sides are multiples of {sides} pixels; the data has {size}×{size}");
        return Err(Error::setting("adversarial", message));
    }
    Ok(())
}

/// The weights of a file, where its sizes are the config's.
fn begin_from(start: &Path, config: &TrainTokenizer, device: &Device) -> Result<MultiScaleVq> {
    let model = MultiScaleVq::open(start, config.scales.clone(), config.model.norm_groups, true, device)
        .map_err(|error| Error::data(start, error.to_string()))?;
    if model.config() != &config.model {
        let message = format!(
            "{} has the sizes {:?}; `model` says {:?}",
            start.display(),
            model.config(),
            config.model
        );
        return Err(Error::setting("start", message));
    }
    Ok(model)
}

/// All that one optimiser trains.
#[derive(Module, Debug)]
struct Networks {
    autoencoder: MultiScaleVq,
    discriminator: Option<Discriminator>,
}

struct TokenizerTask<'a> {
    config: &'a TrainTokenizer,
    data: Dataset,
    order: Order,
    since_restart: CodeUse,
    since_row: CodeUse,
    /// There where the decoder alone is trained.
    fixed: Option<Fixed>,
    perceptual: Option<Perceptual>,
    device: Device,
}

impl TokenizerTask<'_> {
    fn quantised(&self, step: u64) -> bool {
        self.config.start.is_some() || step >= self.config.unquantised_steps
    }

    /// Whether every code is drawn after this step.
    fn begins_codes(&self, step: u64) -> bool {
        self.config.start.is_none() && step + 1 == self.config.unquantised_steps.max(1)
    }

    /// Whether unused codes are drawn anew after this step.
    fn restarts_codes(&self, step: u64) -> bool {
        let (every, until) =
            (self.config.restart_every, self.config.restart_until * self.config.steps as f64);
        self.quantised(step) && every > 0 && (step + 1).is_multiple_of(every) && (step as f64) < until
    }

    /// Reconstructions of images in [-1, 1] by way of tokens, and the tokens, in f32.
    fn reconstruct(
        &self,
        model: &MultiScaleVq,
        images: Tensor<4>,
    ) -> Result<(Tensor<4>, Vec<Tensor<2, Int>>)> {
        let model = &model.clone().training_in(Dtype::F32);
        let tokens = model.encode((images + 1.0) / 2.0)?;
        let tokens: Vec<Tensor<2, Int>> = tokens.into_iter().map(|scale| scale.squeeze_dim(2)).collect();
        let canvas = canvas(model, &tokens)?;
        Ok((model.decode_features(canvas), tokens))
    }

    /// The canvas `[batch, channels, h, w]` that the decoder is given for images, the quantiser's loss where it learns, and what
    /// the codes were chosen for.
    fn canvas(
        &self,
        model: &MultiScaleVq,
        images: Tensor<4>,
        picks: &[(usize, View)],
        step: u64,
    ) -> Result<(Tensor<4>, Option<Tensor<1>>, Seen)> {
        if let Some(fixed) = &self.fixed {
            let tokens = fixed.tokens(picks, &self.device);
            let canvas = fixed.canvas(&tokens)?.autodiff();
            return Ok((canvas, None, Seen { tokens, latents: None }));
        }
        let f = model.encode_features(images)?;
        if self.quantised(step) {
            let quantised = model.quantize_train(f);
            let tokens = quantised.tokens.into_iter().map(Tensor::inner).collect::<Vec<_>>();
            let draws = self.restarts_codes(step) || self.begins_codes(step);
            let latents = draws.then(|| rows(Tensor::cat(quantised.residuals, 1)));
            return Ok((quantised.f_hat, Some(quantised.loss), Seen { tokens, latents }));
        }
        let latents = self.begins_codes(step).then(|| {
            let [batch, channels, height, width] = f.dims();
            let flat = f.clone().inner().reshape([batch, channels, height * width]);
            rows(flat.swap_dims(1, 2))
        });
        Ok((f, None, Seen { tokens: Vec::new(), latents }))
    }
}

/// What the codes of a micro-batch were chosen for.
struct Seen {
    /// Of every scale `[batch, h·w]`; none before there are codes.
    tokens: Vec<Tensor<2, Int>>,
    /// What the images would have codes for, `[n, channels]`, in steps after which codes are drawn from them.
    latents: Option<Tensor<2>>,
}

impl Task for TokenizerTask<'_> {
    type Model = Networks;
    type Pick = (usize, View);
    type Seen = Seen;

    fn groups(&self, model: &Networks) -> Groups {
        // Codes are places, not weights: decay would pull those that are never chosen to the origin.
        let decayed = parameters(model)
            .into_iter()
            .filter(|p| is_decayed(&p.name, p.axes) && !p.name.ends_with("embedding.weight"));
        Groups { decayed: decayed.map(|p| p.id).collect(), ..Groups::default() }
    }

    fn columns(&self) -> Vec<String> {
        ["squared_error", "gradient_error", "quantiser", "perceptual", "adversarial", "discriminator"]
            .map(String::from)
            .to_vec()
    }

    /// The training images of a step, each with whether it is mirrored.
    fn picks(&mut self, step: u64) -> Vec<(usize, View)> {
        let (seed, flips) = (self.config.seed, self.config.flips);
        let picks = self.order.batch(step, self.config.batch).into_iter();
        picks
            .map(|(i, epoch)| (i, View::mirrored(flips && uniform(&[seed, FLIPS, epoch, i as u64]) < 0.5)))
            .collect()
    }

    fn loss(&self, model: &Networks, step: u64, picks: &[(usize, View)]) -> Result<Loss<Seen>> {
        let images = self.data.train.batch(picks, &self.device).autodiff();
        let (canvas, quantiser, seen) = self.canvas(&model.autoencoder, images.clone(), picks, step)?;
        let output = model.autoencoder.vqvae.images(canvas);
        let mut terms = Terms::of(squared_error(output.clone(), images.clone()));
        terms.add(gradient_error(output.clone(), images.clone()), self.config.gradient_weight);
        match quantiser {
            Some(quantiser) => terms.add(quantiser, self.config.quantiser_weight),
            None => terms.none(),
        }
        match (&self.perceptual, &self.config.perceptual) {
            (Some(perceptual), Some(term)) => {
                terms.add(perceptual.distance(output.clone(), images.clone()), term.weight);
            }
            _ => terms.none(),
        }
        match (&model.discriminator, &self.config.adversarial) {
            (Some(discriminator), Some(term)) => {
                let felt = step >= term.from_step && term.weight > 0.0;
                let game = Game::turn(discriminator, output, images, felt);
                terms.add(game.generator, if felt { term.weight } else { 0.0 });
                terms.add(game.discriminator, 1.0);
            }
            _ => {
                terms.none();
                terms.none();
            }
        }
        let (scalar, numbers) = terms.sum();
        Ok(Loss { scalar, numbers, seen })
    }

    fn after_update(&mut self, mut model: Networks, step: u64, seen: Vec<Seen>) -> Result<Networks> {
        let mut latents = Vec::new();
        for part in seen {
            if self.fixed.is_none() {
                self.since_restart.count(&part.tokens);
            }
            self.since_row.count(&part.tokens);
            latents.extend(part.latents);
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
        model.autoencoder.restart_codes(&codes, latents.select(0, picks))?;
        Ok(model)
    }

    fn window_columns(&self) -> Vec<String> {
        ["codes_used", "perplexity"].map(String::from).to_vec()
    }

    fn window(&mut self) -> Vec<f64> {
        let numbers = vec![self.since_row.used() as f64, self.since_row.perplexity()];
        self.since_row.clear();
        numbers
    }

    fn counters(&self) -> BTreeMap<String, Vec<f32>> {
        let (restart, row) = (self.since_restart.counts(), self.since_row.counts());
        [("codes.restart".into(), restart.to_vec()), ("codes.row".into(), row.to_vec())].into()
    }

    fn set_counters(&mut self, counters: &BTreeMap<String, Vec<f32>>) {
        for (name, codes) in [("codes.restart", &mut self.since_restart), ("codes.row", &mut self.since_row)]
        {
            if let Some(counts) = counters.get(name) {
                codes.set(counts);
            }
        }
    }

    fn sample(&mut self, model: &Networks, path: &Path) -> Result<()> {
        let picks: Vec<(usize, View)> =
            (0..SAMPLES.min(self.data.test.len())).map(|i| (i, View::default())).collect();
        let images = self.data.test.batch(&picks, &self.device);
        let (output, _) = self.reconstruct(&model.autoencoder, images.clone())?;
        write_sheet(path, (Tensor::cat(vec![images, output], 0) + 1.0) / 2.0, picks.len())
    }

    fn evaluate(
        &mut self,
        model: &Networks,
        short: bool,
        mut evaluation: Evaluation<'_>,
    ) -> Result<Vec<(String, f64)>> {
        let test: &Images = &self.data.test;
        let count = if short { SHORT.min(test.len()) } else { test.len() };
        let starts: Vec<usize> = (0..count).step_by(BATCH).collect();
        let batches = evaluation.map("reconstructions of test images", &starts, |&start| {
            let picks: Vec<(usize, View)> =
                (start..count.min(start + BATCH)).map(|i| (i, View::default())).collect();
            let images = test.batch(&picks, &self.device);
            let (output, tokens) = self.reconstruct(&model.autoencoder, images.clone())?;
            Ok((tokens, image_errors(output, images)))
        })?;
        let (mut errors, mut codes) = (Vec::with_capacity(count), CodeUse::new(self.config.model.vocabulary));
        for (tokens, batch) in batches {
            codes.count(&tokens);
            errors.extend(batch);
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let each: Vec<f64> = errors.iter().map(|&error| psnr(error)).collect();
        Ok(vec![
            ("psnr".into(), psnr(mean(&errors))),
            ("psnr_mean_of_images".into(), mean(&each)),
            ("codes_used".into(), codes.used() as f64),
            ("perplexity".into(), codes.perplexity()),
        ])
    }

    fn export(&mut self, model: &Networks, folder: &Path, step: u64) -> Result<()> {
        let path = folder.join(WEIGHTS);
        let mut metadata = model.autoencoder.metadata();
        metadata.insert("steps".into(), step.to_string());
        save_safetensors(&path, model.autoencoder.tensors(), Precision::F16, &metadata)
            .map_err(|error| Error::data(&path, error.to_string()))
    }
}

/// `[batch, n, channels]` to `[batch · n, channels]`.
fn rows(values: Tensor<3>) -> Tensor<2> {
    let [batch, n, channels] = values.dims();
    values.reshape([batch * n, channels])
}
