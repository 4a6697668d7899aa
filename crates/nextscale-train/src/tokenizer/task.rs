use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Int, Tensor};
use nextscale_core::Dtype;
use nextscale_tokenizers::Tokenizer;
use nextscale_weights::{Precision, save_safetensors};
use serde::{Serialize, de::DeserializeOwned};

use super::TrainableTokenizer;
use super::fixed::Fixed;
use super::terms::Terms;
use super::trainable::Quantised;
use crate::adversarial::Game;
use crate::classifier::Classifier;
use crate::config::{Learn, TokenizerSettings, tell_repeats};
use crate::data::{Dataset, Images, View};
use crate::discriminator::Discriminator;
use crate::evaluation::Evaluation;
use crate::mixed::check_dtype;
use crate::optimiser::Groups;
use crate::params::parameters;
use crate::perceptual::Perceptual;
use crate::pixel_loss::{gradient_error, image_errors, psnr, squared_error};
use crate::random::{Order, uniform};
use crate::run::{Options, Outcome, train_task};
use crate::sheet::write_sheet;
use crate::task::{Loss, Task};
use crate::{Error, Result};

/// The file of weights that a finished run writes.
const WEIGHTS: &str = "tokenizer.safetensors";
/// Test images in a short evaluation.
const SHORT: usize = 500;
/// Images evaluated at a time.
const BATCH: usize = 100;
/// Images in a sample sheet, each above its reconstruction.
const SAMPLES: usize = 16;
/// Key of the random stream that mirrors images.
const FLIPS: u64 = 1;

/// Trains a tokenizer and writes `tokenizer.safetensors` at the end.
///
/// The loss is the squared error of the reconstruction, plus the weighted error of its pixel gradients, the
/// quantiser's loss, a distance in a classifier's features, and the judgement of a discriminator that is
/// trained along with it. With [`Learn::Decoder`], only the decoder is trained, on the tokens that `start`
/// computes from the images.
///
/// `config` contains everything that affects the result, including `settings`: see [`train_task`].
///
/// # Errors
/// Those of the settings, of the data, of the tokenizer, and of the run.
pub fn train_tokenizer<T: TrainableTokenizer>(
    kind: T,
    settings: &TokenizerSettings,
    config: &(impl Serialize + DeserializeOwned),
    options: &Options,
    device: &Device,
) -> Result<Outcome> {
    settings.check()?;
    check_dtype(settings.dtype, device)?;
    let data = settings.data.load_and_say()?;
    let training_device = device.clone().autodiff();
    let autoencoder = match &settings.start {
        None => kind.fresh(&training_device)?,
        Some(start) => kind.open(start, &training_device)?,
    };
    let autoencoder = kind.computing_in(autoencoder, settings.dtype);
    if autoencoder.image_size() != (data.train.size, data.train.size) {
        return Err(Error::setting(
            "scales",
            format!(
                "give images of {:?} pixels; the data has {size}×{size}",
                autoencoder.image_size(),
                size = data.train.size
            ),
        ));
    }
    settings.training.fits(settings.batch, kind.bytes_of_image(data.train.size))?;
    let perceptual = match &settings.perceptual {
        Some(term) => {
            let classifier = open_classifier(&term.classifier, data.train.size, &training_device)?;
            Some(Perceptual::new(classifier.computing_in(settings.dtype)))
        }
        None => None,
    };
    let discriminator = match &settings.adversarial {
        Some(term) => {
            check_granularity(data.train.size)?;
            Some(
                Discriminator::init(term.channels, settings.seed, &training_device)?
                    .computing_in(settings.dtype),
            )
        }
        None => None,
    };
    let fixed = match (settings.learn, &settings.start) {
        (Learn::Decoder, Some(start)) => Some(Fixed::open(&kind, start, settings, &data, options, device)?),
        _ => None,
    };
    tell_repeats(settings.batch, data.train.len(), options);
    let model = Networks { autoencoder, discriminator };
    let mut task = TokenizerTask {
        kind,
        settings,
        order: Order::new(data.train.len(), settings.seed),
        data,
        fixed,
        perceptual,
        device: device.clone(),
    };
    let length = (settings.steps, settings.batch);
    train_task(&mut task, model, length, &settings.training, config, options, device)
}

/// The classifier of a file, if it accepts images of this size.
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

/// Everything that one optimiser trains.
#[derive(Module, Debug)]
struct Networks<M: Module + ModuleDisplay> {
    autoencoder: M,
    discriminator: Option<Discriminator>,
}

struct TokenizerTask<'a, T: TrainableTokenizer> {
    kind: T,
    settings: &'a TokenizerSettings,
    data: Dataset,
    order: Order,
    /// Present if only the decoder is trained.
    fixed: Option<Fixed<T::Model>>,
    perceptual: Option<Perceptual>,
    device: Device,
}

impl<T: TrainableTokenizer> TokenizerTask<'_, T> {
    /// Reconstructions of images in [-1, 1] through tokens, and the tokens, in f32.
    fn reconstruct(&self, model: &T::Model, images: Tensor<4>) -> Result<(Tensor<4>, Vec<Tensor<3, Int>>)> {
        let model = &self.kind.computing_in(model.clone(), Dtype::F32);
        let tokens = model.encode((images + 1.0) / 2.0)?;
        let canvas = self.kind.canvas(model, &tokens)?;
        Ok((self.kind.images(model, canvas).clamp(-1.0, 1.0), tokens))
    }

    /// The decoder's input for images.
    fn quantise(
        &self,
        model: &T::Model,
        images: Tensor<4>,
        picks: &[(usize, View)],
        step: u64,
    ) -> Result<Quantised<T::Seen>> {
        let Some(fixed) = &self.fixed else { return self.kind.quantise(model, images, step) };
        let tokens = fixed.tokens(picks, &self.device);
        let canvas = fixed.canvas(&self.kind, &tokens)?.autodiff();
        Ok(Quantised { canvas, loss: None, seen: self.kind.given(tokens) })
    }
}

impl<T: TrainableTokenizer> Task for TokenizerTask<'_, T> {
    type Model = Networks<T::Model>;
    type Pick = (usize, View);
    type Seen = T::Seen;

    fn groups(&self, model: &Self::Model) -> Groups {
        let decayed = parameters(model).into_iter().filter(|p| self.kind.is_decayed(&p.name, p.axes));
        Groups { decayed: decayed.map(|p| p.id).collect(), ..Groups::default() }
    }

    fn columns(&self) -> Vec<String> {
        ["squared_error", "gradient_error", "quantiser", "perceptual", "adversarial", "discriminator"]
            .map(String::from)
            .to_vec()
    }

    /// The training images of a step, each with a flag for mirroring.
    fn picks(&mut self, step: u64) -> Vec<(usize, View)> {
        let (seed, flips) = (self.settings.seed, self.settings.flips);
        let picks = self.order.batch(step, self.settings.batch).into_iter();
        picks
            .map(|(i, epoch)| (i, View::mirrored(flips && uniform(&[seed, FLIPS, epoch, i as u64]) < 0.5)))
            .collect()
    }

    fn loss(&self, model: &Self::Model, step: u64, picks: &[(usize, View)]) -> Result<Loss<T::Seen>> {
        let images = self.data.train.batch(picks, &self.device).autodiff();
        let quantised = self.quantise(&model.autoencoder, images.clone(), picks, step)?;
        let output = self.kind.images(&model.autoencoder, quantised.canvas);
        let mut terms = Terms::of(squared_error(output.clone(), images.clone()));
        terms.add(gradient_error(output.clone(), images.clone()), self.settings.gradient_weight);
        match quantised.loss {
            Some(quantiser) => terms.add(quantiser, self.settings.quantiser_weight),
            None => terms.none(),
        }
        match (&self.perceptual, &self.settings.perceptual) {
            (Some(perceptual), Some(term)) => {
                terms.add(perceptual.distance(output.clone(), images.clone()), term.weight);
            }
            _ => terms.none(),
        }
        match (&model.discriminator, &self.settings.adversarial) {
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
        Ok(Loss { scalar, numbers, seen: quantised.seen })
    }

    fn after_update(&mut self, mut model: Self::Model, step: u64, seen: Vec<T::Seen>) -> Result<Self::Model> {
        model.autoencoder = self.kind.after_update(model.autoencoder, step, seen)?;
        Ok(model)
    }

    fn window_columns(&self) -> Vec<String> {
        self.kind.window_columns()
    }

    fn window(&mut self) -> Vec<f64> {
        self.kind.window()
    }

    fn counters(&self) -> BTreeMap<String, Vec<f32>> {
        self.kind.counters()
    }

    fn set_counters(&mut self, counters: &BTreeMap<String, Vec<f32>>) {
        self.kind.set_counters(counters);
    }

    fn sample(&mut self, model: &Self::Model, path: &Path) -> Result<()> {
        let picks: Vec<(usize, View)> =
            (0..SAMPLES.min(self.data.test.len())).map(|i| (i, View::default())).collect();
        let images = self.data.test.batch(&picks, &self.device);
        let (output, _) = self.reconstruct(&model.autoencoder, images.clone())?;
        write_sheet(path, (Tensor::cat(vec![images, output], 0) + 1.0) / 2.0, picks.len())
    }

    fn evaluate(
        &mut self,
        model: &Self::Model,
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
            Ok((self.kind.tally(&tokens), image_errors(output, images)))
        })?;
        let (tallies, errors): (Vec<_>, Vec<_>) = batches.into_iter().unzip();
        let tally =
            tallies.into_iter().reduce(|sum, more| sum.iter().zip(more).map(|(a, b)| a + b).collect());
        let errors = errors.concat();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let each: Vec<f64> = errors.iter().map(|&error| psnr(error)).collect();
        let quality = [("psnr".into(), psnr(mean(&errors))), ("psnr_mean_of_images".into(), mean(&each))];
        Ok(quality.into_iter().chain(self.kind.code_use(&tally.unwrap_or_default())).collect())
    }

    fn export(&mut self, model: &Self::Model, folder: &Path, step: u64) -> Result<()> {
        let path = folder.join(WEIGHTS);
        let mut metadata = self.kind.metadata(&model.autoencoder);
        metadata.insert("steps".into(), step.to_string());
        save_safetensors(&path, self.kind.tensors(&model.autoencoder), Precision::F16, &metadata)
            .map_err(|error| Error::data(&path, error.to_string()))
    }
}
