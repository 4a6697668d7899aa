use std::ops::Range;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale_core::Dtype;
use nextscale_kernels::cross_entropy;

use super::model::check_sizes;
use super::{Classifier, NamedClassifier};
use crate::config::{TrainClassifier, tell_repeats};
use crate::data::{Dataset, Images, View};
use crate::evaluation::Evaluation;
use crate::mixed::check_dtype;
use crate::optimiser::{Groups, is_decayed};
use crate::params::parameters;
use crate::random::{Order, uniform};
use crate::run::{Options, Outcome, train_task};
use crate::sheet::write_sheet;
use crate::task::{Loss, Numbers, Task, Unread};
use crate::{Error, Result};

/// The file of weights that a finished run writes.
pub const WEIGHTS: &str = "classifier.safetensors";
/// Test images in a short evaluation, and images evaluated at a time.
const SHORT: usize = 1000;
const BATCH: usize = 200;
/// Columns of a sample sheet.
const COLUMNS: usize = 10;
/// Key of the random stream.
const FLIPS: u64 = 1;

/// Trains a classifier from scratch and writes `WEIGHTS` at the end.
///
/// # Errors
/// Those of the data, of the sizes in the config, and of the run.
pub fn train_classifier(config: &TrainClassifier, options: &Options, device: &Device) -> Result<Outcome> {
    config.check()?;
    check_sizes(config.channels, config.stages)?;
    check_dtype(config.dtype, device)?;
    let data = config.data.load_and_say()?;
    let sizes = [config.channels, config.stages, data.classes.len()];
    let model = Classifier::init(sizes, config.seed, &device.clone().autodiff())?.computing_in(config.dtype);
    if !data.train.size.is_multiple_of(model.granularity()) {
        return Err(Error::setting(
            "stages",
            format!("{} stages halve images of {} pixels too often", config.stages, data.train.size),
        ));
    }
    let of_image = Classifier::bytes_of_image([config.channels, config.stages], data.train.size);
    config.training.fits(config.batch, of_image)?;
    tell_repeats(config.batch, data.train.len(), options);
    let mut task = ClassifierTask {
        config,
        order: Order::new(data.train.len(), config.seed),
        data,
        device: device.clone(),
    };
    train_task(&mut task, model, (config.steps, config.batch), &config.training, config, options, device)
}

struct ClassifierTask<'a> {
    config: &'a TrainClassifier,
    data: Dataset,
    order: Order,
    device: Device,
}

impl ClassifierTask<'_> {
    /// The predicted class of each of these test images, and the cross-entropy with the true class.
    fn judge(&self, model: &Classifier, images: Range<usize>) -> Vec<(usize, f32)> {
        let test: &Images = &self.data.test;
        let picks: Vec<(usize, View)> = images.map(|i| (i, View::default())).collect();
        let logits = model.clone().computing_in(Dtype::F32).logits(test.batch(&picks, &self.device));
        let classes = logits.clone().argmax(1).into_data();
        let losses = cross_entropy(logits, labels(test, &picks, &self.device)).into_data();
        classes.iter::<i64>().map(|class| class as usize).zip(losses.iter::<f32>()).collect()
    }
}

/// The first `count` images in batches.
fn batches(count: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(BATCH).map(move |start| start..count.min(start + BATCH))
}

/// `[images]`.
fn labels(images: &Images, picks: &[(usize, View)], device: &Device) -> Tensor<1, Int> {
    let labels: Vec<i64> = picks.iter().map(|&(i, _)| i64::from(images.labels[i])).collect();
    Tensor::from_data(TensorData::new(labels, [picks.len()]), device)
}

impl Task for ClassifierTask<'_> {
    type Model = Classifier;
    type Pick = (usize, View);
    type Seen = ();

    fn groups(&self, model: &Classifier) -> Groups {
        let decayed = parameters(model).into_iter().filter(|p| is_decayed(&p.name, p.axes));
        Groups { decayed: decayed.map(|p| p.id).collect(), ..Groups::default() }
    }

    fn columns(&self) -> Vec<String> {
        Vec::new()
    }

    fn picks(&mut self, step: u64) -> Vec<(usize, View)> {
        let (seed, flips) = (self.config.seed, self.config.flips);
        let picks = self.order.batch(step, self.config.batch).into_iter();
        picks
            .map(|(i, epoch)| (i, View::mirrored(flips && uniform(&[seed, FLIPS, epoch, i as u64]) < 0.5)))
            .collect()
    }

    fn loss(&self, model: &Classifier, _step: u64, picks: &[(usize, View)]) -> Result<Loss<()>> {
        let logits = model.logits(self.data.train.batch(picks, &self.device).autodiff());
        let loss = cross_entropy(logits, labels(&self.data.train, picks, &self.device)).mean();
        let numbers = |values: &[f32]| Numbers { loss: values[0], parts: Vec::new() };
        let numbers = Unread::new(loss.clone().inner(), numbers);
        Ok(Loss { scalar: loss, numbers, seen: () })
    }

    /// The first test images predicted for each class, one row per class.
    fn sample(&mut self, model: &Classifier, path: &Path) -> Result<()> {
        let count = SHORT.min(self.data.test.len());
        let found: Vec<usize> =
            batches(count).flat_map(|range| self.judge(model, range)).map(|(class, _)| class).collect();
        let blank = Tensor::ones([1, 3, self.data.test.size, self.data.test.size], &self.device);
        let mut cells = Vec::new();
        for class in 0..self.data.classes.len() {
            let picks: Vec<(usize, View)> = (0..count)
                .filter(|&i| found[i] == class)
                .take(COLUMNS)
                .map(|i| (i, View::default()))
                .collect();
            if !picks.is_empty() {
                cells.push(self.data.test.batch(&picks, &self.device));
            }
            cells.extend((picks.len()..COLUMNS).map(|_| blank.clone()));
        }
        write_sheet(path, (Tensor::cat(cells, 0) + 1.0) / 2.0, COLUMNS)
    }

    fn evaluate(
        &mut self,
        model: &Classifier,
        short: bool,
        mut evaluation: Evaluation<'_>,
    ) -> Result<Vec<(String, f64)>> {
        let test = &self.data.test;
        let count = if short { SHORT.min(test.len()) } else { test.len() };
        let ranges: Vec<Range<usize>> = batches(count).collect();
        let found =
            evaluation.map("test images", &ranges, |range| Ok(self.judge(model, range.clone())))?.concat();
        let right = found
            .iter()
            .zip(&test.labels)
            .filter(|&(&(found, _), &label)| found == usize::from(label))
            .count();
        let loss = found.iter().map(|&(_, loss)| f64::from(loss)).sum::<f64>() / count as f64;
        Ok(vec![("accuracy".into(), right as f64 / count as f64), ("cross_entropy".into(), loss)])
    }

    fn export(&mut self, model: &Classifier, folder: &Path, step: u64) -> Result<()> {
        let mut metadata = NamedClassifier::metadata(&self.data.classes, self.data.train.size);
        metadata.insert("steps".into(), step.to_string());
        model.save(&folder.join(WEIGHTS), metadata)
    }
}
