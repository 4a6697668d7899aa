use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use nextscale_core::noise::Counter;
use nextscale_core::{Condition, ScaleSchedule, is_cpu};
use nextscale_generate::observe::Times;
use nextscale_generate::sampler::TopKTopP;
use nextscale_generate::{Batch, Generator, Model, Stop};
use nextscale_guidance::{Cfg, Strength};
use nextscale_tokenizers::{Tokenizer, unread_faults};
use nextscale_weights::{Precision, save_safetensors};
use serde::{Serialize, de::DeserializeOwned};

use super::examples::Examples;
use super::{Drawing, Lesson, TrainableBackbone};
use crate::cache::{Kept, TokenSet, Tokens};
use crate::config::{BackboneSettings, tell_repeats};
use crate::data::{Dataset, View};
use crate::evaluation::Evaluation;
use crate::mixed::check_dtype;
use crate::random::{Order, hash, uniform};
use crate::run::{Options, Outcome, train_task};
use crate::sheet::write_sheet;
use crate::task::{Groups, Loss, Numbers, Task, Unread};
use crate::{Error, Result};

/// The file of weights that a finished run writes.
const WEIGHTS: &str = "backbone.safetensors";
/// Test images in a short evaluation.
const SHORT: usize = 512;
/// Images evaluated at a time.
const BATCH: usize = 64;
/// Images per condition in a sample sheet.
const SAMPLES: usize = 8;
/// The strength of classifier-free guidance at the finest scale of a sample sheet (VAR's ramp).
const SAMPLE_CFG: f64 = 3.0;
/// Keys of the random streams.
const LABELS: u64 = 1;
const LESSONS: u64 = 5;
const WHOLLY: u64 = 6;
/// The share of dropped conditions that become the null condition. The rest become whatever
/// guidance reads in place of the image's own condition, as rows of no text with a prompt's length.
/// If a model distinguishes the two, it learns both.
const NULL_SHARE: f64 = 0.25;

/// Trains a backbone on the tokens that `tokenizer`, loaded from the settings' file, computes from their
/// data, and writes `backbone.safetensors` at the end. The tokens are stored in the run's folder for the next
/// start. `make` creates the trainable backbone for this tokenizer and data.
///
/// `config` contains everything that affects the result, including `settings`: see [`train_task`].
///
/// # Errors
/// Those of the settings, of the data, of the backbone, and of the run.
pub fn train_backbone<T: TrainableBackbone>(
    make: impl FnOnce(&Dataset) -> Result<T>,
    tokenizer: Arc<dyn Tokenizer>,
    settings: &BackboneSettings,
    config: &(impl Serialize + DeserializeOwned),
    options: &Options,
    device: &Device,
) -> Result<Outcome> {
    settings.check()?;
    let data = settings.data.load_and_say()?;
    check_dtype(settings.dtype, device)?;
    let kind = make(&data)?;
    let of_image = kind.bytes_of_image(tokenizer.schedule().positions());
    settings.training.fits(settings.batch, of_image)?;
    let training_device = device.clone().autodiff();
    let model = match &settings.start {
        Some(start) => kind.open(start, &training_device)?,
        None => kind.fresh(&training_device)?,
    };
    // Done last because it takes minutes; other errors should surface first.
    let of_run =
        |kept| TokenSet::of_run(options, (&settings.tokenizer, &*tokenizer), (&settings.data, &data), kept);
    let (test, examples) = if settings.shift == 0 && !kind.reads_pixels() {
        let tokens = of_run(Kept::images(settings.flips))?;
        (tokens.test, Examples::Kept(tokens.train))
    } else {
        let examples = Examples::moved(&data.train, settings.shift, settings.flips)?;
        (of_run(Kept::Test)?.test, examples)
    };
    tell_repeats(settings.batch, examples.len(), options);
    let mut task = BackboneTask {
        kind,
        settings,
        tokenizer,
        order: Order::new(examples.len(), settings.seed),
        examples,
        test,
        data: &data,
        device: device.clone(),
    };
    let length = (settings.steps, settings.batch);
    train_task(&mut task, model, length, &settings.training, config, options, device)
}

/// The cross-entropy in nats at every position, summed over its slots, `[batch · positions]`: from logits
/// `[batch, positions, slots · classes]` and tokens `[batch, positions, slots]`.
fn cross_entropy(logits: Tensor<3>, tokens: Tensor<3, Int>) -> Tensor<1> {
    let [batch, positions, slots] = tokens.dims();
    let classes = logits.dims()[2] / slots.max(1);
    let choices = batch * positions * slots;
    let losses = nextscale_kernels::cross_entropy(
        logits.reshape([choices, classes]),
        tokens.inner().reshape([choices]),
    );
    match slots {
        1 => losses,
        _ => losses.reshape([batch * positions, slots]).sum_dim(1).squeeze_dim(1),
    }
}

fn numbers(values: Tensor<1>) -> Vec<f32> {
    values.into_data().iter::<f32>().collect()
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64
}

/// The mean of values `[batch · L]` over each scale's positions.
fn per_scale(values: &[f32], schedule: &ScaleSchedule) -> Vec<f32> {
    let length = schedule.positions();
    let images = (values.len() / length) as f32;
    (0..schedule.len())
        .map(|k| {
            let (start, count) = (schedule.offset(k), schedule.grid(k).positions());
            let sum: f32 = values.chunks_exact(length).flat_map(|row| &row[start..start + count]).sum();
            sum / (images * count as f32)
        })
        .collect()
}

/// A training image of a step, with everything that is drawn for it.
struct Pick {
    example: usize,
    view: View,
    condition: Condition,
    dropped: bool,
    /// The key of its lesson's random numbers.
    key: u64,
}

struct BackboneTask<'a, T> {
    kind: T,
    settings: &'a BackboneSettings,
    tokenizer: Arc<dyn Tokenizer>,
    examples: Examples<'a>,
    order: Order,
    test: Tokens,
    data: &'a Dataset,
    device: Device,
}

impl<T: TrainableBackbone> BackboneTask<'_, T> {
    /// The cross-entropy of the first `count` test images, with or without their conditions: over all
    /// positions, then scale by scale.
    fn held_out(
        &self,
        model: &T::Model,
        count: usize,
        null: bool,
        evaluation: &mut Evaluation<'_>,
    ) -> Result<Vec<f64>> {
        let count = count.min(self.test.len());
        let starts: Vec<usize> = (0..count).step_by(BATCH).collect();
        let what = if null { "test images under no condition" } else { "test images under their conditions" };
        let values = evaluation.map(what, &starts, |&start| {
            let picks: Vec<usize> = (start..count.min(start + BATCH)).collect();
            let lesson = Lesson::of_tokens(&*self.tokenizer, self.test.batch(&picks, &self.device))?;
            let given = |i| self.kind.condition(&self.data.test, i, View::default(), 0);
            let conditions: Vec<Condition> = picks.into_iter().map(given).collect();
            let dropped = vec![null; conditions.len()];
            let logits = self.kind.logits_without(model, lesson.features, &conditions, &dropped)?;
            Ok(numbers(cross_entropy(logits, lesson.labels)))
        })?;
        let values = values.concat();
        let scales = per_scale(&values, self.tokenizer.schedule());
        Ok(std::iter::once(mean(&values)).chain(scales.into_iter().map(f64::from)).collect())
    }
}

impl<T: TrainableBackbone> Task for BackboneTask<'_, T> {
    type Model = T::Model;
    type Pick = Pick;
    type Seen = ();

    fn groups(&self, model: &T::Model) -> Groups {
        self.kind.groups(model)
    }

    fn columns(&self) -> Vec<String> {
        (0..self.tokenizer.schedule().len()).map(|k| format!("scale_{k}")).collect()
    }

    fn picks(&mut self, step: u64) -> Vec<Pick> {
        let (seed, dropout) = (self.settings.seed, self.settings.label_dropout);
        let picks = self.order.batch(step, self.settings.batch).into_iter();
        picks
            .map(|(example, epoch)| {
                let dropped = uniform(&[seed, LABELS, epoch, example as u64]) < dropout;
                let wholly = dropped && uniform(&[seed, WHOLLY, epoch, example as u64]) < NULL_SHARE;
                let image = self.examples.image(example, &self.data.train);
                let view = self.examples.view(seed, epoch, example);
                let condition = match wholly {
                    true => Condition::Null,
                    false => self.kind.condition(&self.data.train, image, view, epoch),
                };
                let key = hash(&[seed, LESSONS, epoch, example as u64]);
                Pick { example, view, condition, dropped, key }
            })
            .collect()
    }

    fn loss(&self, model: &T::Model, _step: u64, picks: &[Pick]) -> Result<Loss<()>> {
        let examples: Vec<(usize, View)> = picks.iter().map(|pick| (pick.example, pick.view)).collect();
        let conditions: Vec<Condition> = picks.iter().map(|pick| pick.condition.clone()).collect();
        let keys: Vec<u64> = picks.iter().map(|pick| pick.key).collect();
        let material = self.examples.material(&examples, &self.device);
        let lesson = || self.kind.lesson(&*self.tokenizer, material, &keys);
        // Elsewhere than on the CPU the faults of images that are tokenised here are read with the losses.
        let (lesson, faults) =
            if is_cpu(&self.device) { (lesson(), Vec::new()) } else { unread_faults(lesson) };
        let lesson = lesson?;
        let dropped: Vec<bool> = picks.iter().map(|pick| pick.dropped).collect();
        let logits = self.kind.logits_without(model, lesson.features.autodiff(), &conditions, &dropped)?;
        let losses = cross_entropy(logits, lesson.labels);
        let schedule = self.tokenizer.schedule().clone();
        let count = losses.dims()[0];
        let values = Tensor::cat([vec![losses.clone().inner()], faults].concat(), 0);
        let numbers = Unread::new(values, move |values| {
            let (losses, faults) = values.split_at(count);
            let sound = faults.iter().all(|&fault| fault == 0.0);
            let loss = if sound { mean(losses) as f32 } else { f32::NAN };
            Numbers { loss, parts: per_scale(losses, &schedule) }
        });
        Ok(Loss { scalar: losses.mean(), numbers, seen: () })
    }

    fn sample(&mut self, model: &T::Model, path: &Path) -> Result<()> {
        let conditions = self.kind.sheet(self.data, SAMPLES);
        let Drawing { backbone, conditioner } = self.kind.drawing(model)?;
        let model = Model::new(Arc::clone(&self.tokenizer), backbone, conditioner)?;
        let rule = Arc::new(Cfg::scale(Strength::Ramp(SAMPLE_CFG))?);
        let noise = Arc::new(Counter::new(self.settings.seed));
        let generator = Generator::new(model, rule, Arc::new(TopKTopP::default()), noise)?;
        let images: Vec<u64> = (0..conditions.len() as u64).collect();
        let batch = Batch { images: &images, conditions: &conditions };
        write_sheet(path, generator.draw(batch, &mut Times::default(), &Stop::new())?, SAMPLES)
    }

    fn evaluate(
        &mut self,
        model: &T::Model,
        short: bool,
        mut evaluation: Evaluation<'_>,
    ) -> Result<Vec<(String, f64)>> {
        let count = if short { SHORT } else { self.test.len() };
        let mut numbers = Vec::new();
        for (name, null) in [(self.kind.condition_name(), false), ("null", true)] {
            let values = self.held_out(model, count, null, &mut evaluation)?;
            let names =
                std::iter::once("all".to_owned()).chain((0..values.len() - 1).map(|k| format!("scale_{k}")));
            numbers.extend(names.zip(values).map(|(part, value)| (format!("{name}.{part}"), value)));
        }
        Ok(numbers)
    }

    fn export(&mut self, model: &T::Model, folder: &Path, step: u64) -> Result<()> {
        let path = folder.join(WEIGHTS);
        let mut metadata = self.kind.metadata(model, self.data);
        metadata.insert("scales".into(), self.tokenizer.schedule().to_string());
        metadata.insert("steps".into(), step.to_string());
        save_safetensors(&path, self.kind.tensors(model), Precision::F16, &metadata)
            .map_err(|error| Error::data(&path, error.to_string()))?;
        self.kind.write_beside(model, folder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::BITS;
    use burn::tensor::TensorData;

    #[test]
    fn the_loss_of_bits_is_the_sum_over_them() {
        let device = Device::flex();
        let logits: Vec<f32> = (0..2 * 2 * BITS * 2).map(|i| (i * 7 % 5) as f32 - 2.0).collect();
        let bits: Vec<i64> = (0..2 * 2 * BITS).map(|i| (i * 3 % 4 / 2) as i64).collect();
        let expected = bits.chunks(BITS).enumerate().map(|(position, bits)| {
            let loss = |(slot, bit): (usize, &i64)| {
                let pair = &logits[(position * BITS + slot) * 2..][..2];
                (pair[0].exp() + pair[1].exp()).ln() - pair[*bit as usize]
            };
            bits.iter().enumerate().map(loss).sum::<f32>()
        });
        let expected: Vec<f32> = expected.collect();
        let found = numbers(cross_entropy(
            Tensor::from_data(TensorData::new(logits.clone(), [2, 2, BITS * 2]), &device),
            Tensor::<3, Int>::from_data(TensorData::new(bits.clone(), [2, 2, BITS]), &device.autodiff()),
        ));
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?} {expected:?}");
    }
}
