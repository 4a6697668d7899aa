//! Training of a VAR transformer on the tokens of a frozen tokenizer.

mod examples;

use std::path::Path;
use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use nextscale_backbones::Conditioner;
use nextscale_backbones::var::{Initialisation, Var, VarConfig};
use nextscale_core::noise::Counter;
use nextscale_core::{Canvas, Condition, ConditionRows, Draw, Dtype, PassCondition, Result as CoreResult};
use nextscale_generate::sampler::TopKTopP;
use nextscale_generate::{Batch, Generator, Model, Stop};
use nextscale_guidance::{Cfg, Strength};
use nextscale_tokenizers::Tokenizer;
use nextscale_weights::{Precision, WeightFile, save_safetensors};

use crate::cache::{Kept, TokenSet, Tokens};
use crate::config::TrainBackbone;
use crate::data::View;
use crate::difference::{Difference, differences};
use crate::evaluation::Evaluation;
use crate::mixed::check_dtype;
use crate::optimiser::{Groups, is_decayed};
use crate::random::{Order, uniform};
use crate::run::{Options, Outcome, train_task};
use crate::sheet::write_sheet;
use crate::task::{Loss, Numbers, Task};
use crate::tokenizer::open_tokenizer;
use crate::{Error, Result};

use examples::Examples;

/// The file of weights that a finished run leaves.
pub const WEIGHTS: &str = "backbone.safetensors";
/// Images of the test split that a short evaluation takes.
const SHORT: usize = 512;
/// Images evaluated at a time.
const BATCH: usize = 64;
/// Images a class in a sample sheet.
const SAMPLES: usize = 8;
/// Strength of classifier-free guidance at the finest scale of a sample sheet (VAR's ramp).
const SAMPLE_CFG: f64 = 3.0;
/// Keys of the streams of random numbers.
const LABELS: u64 = 1;

/// Trains a backbone on the tokens that the config's tokenizer makes of its data, and writes `WEIGHTS` when
/// done. The tokens are kept in the run's folder for the next start.
///
/// # Errors
/// Those of the data, of the tokenizer's file, of the sizes in the config, and of the run.
pub fn train_backbone(config: &TrainBackbone, options: &Options, device: &Device) -> Result<Outcome> {
    config.check()?;
    let tokenizer = open_tokenizer(&config.tokenizer, device)?;
    let data = config.data.load()?;
    check_dtype(config.dtype, device)?;
    let sizes = architecture(config, data.classes.len(), &tokenizer);
    let training_device = device.clone().autodiff();
    let fresh = Initialisation { seed: config.seed, gate: config.model.gate };
    let model = match &config.start {
        Some(start) => begin_from(start, &sizes, &fresh, config.dtype, &training_device)?,
        None => sizes.init_to_train(&fresh, &training_device, config.dtype)?,
    };
    // Last, for it takes minutes: what is wrong with the rest is told before.
    let of_run =
        |kept| TokenSet::of_run(options, (&config.tokenizer, &tokenizer), (&config.data, &data), kept);
    let (test, examples) = if config.shift == 0 {
        let tokens = of_run(Kept::images(config.flips))?;
        (tokens.test, Examples::Kept(tokens.train))
    } else {
        let examples = Examples::moved(&data.train, &tokenizer, config.shift, config.flips)?;
        (of_run(Kept::Test)?.test, examples)
    };
    let mut task = BackboneTask {
        config,
        tokenizer: Arc::new(tokenizer.clone()),
        order: Order::new(examples.len(), config.seed),
        examples,
        test,
        classes: &data.classes,
        device: device.clone(),
    };
    train_task(&mut task, model, (config.steps, config.batch), &config.training, config, options, device)
}

/// The weights of a file, where its sizes are the config's but for blocks that it may lack: those begin as the identity.
fn begin_from(
    start: &Path,
    sizes: &VarConfig,
    fresh: &Initialisation,
    dtype: Dtype,
    device: &Device,
) -> Result<Var> {
    let fail = |message: String| Error::data(start, message);
    let file = WeightFile::open(start).map_err(|error| {
        Error::setting(
            "start",
            format!("{error}; give weights that a training wrote, or None for fresh ones"),
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
    Var::load_to_train(&file, sizes, fresh, device, dtype).map_err(|error| fail(error.to_string()))
}

fn architecture(config: &TrainBackbone, classes: usize, tokenizer: &dyn Tokenizer) -> VarConfig {
    let model = &config.model;
    VarConfig {
        schedule: tokenizer.schedule().clone(),
        depth: model.depth,
        width: model.width,
        heads: model.heads,
        hidden: model.hidden.unwrap_or(4 * model.width),
        vocabulary: tokenizer.alphabet().classes,
        classes,
        feature_channels: tokenizer.input_channels(),
        ada_ln: model.ada_ln,
        attention: model.attention,
    }
}

/// How many matrices lie one beside the other in a block's parameter under upstream's `key`: the projections to queries, keys and
/// values are one parameter. `None` for what is no such matrix.
fn matrices_in(key: &str) -> Option<usize> {
    let inside = key.strip_prefix("blocks.")?;
    let is = |name: &str| inside.ends_with(name);
    match () {
        () if is("attn.mat_qkv.weight") => Some(3),
        () if is("attn.proj.weight") || is("ffn.fc1.weight") || is("ffn.fc2.weight") => Some(1),
        () => None,
    }
}

/// The teacher's input for tokens `[batch, L, slots]`: for each scale from 1 on, the features of the scales before it,
/// `[batch, L − positions of scale 0, channels]` (SPEC §2.4).
pub fn teacher_features(tokenizer: &dyn Tokenizer, tokens: &Tensor<3, Int>) -> CoreResult<Tensor<3>> {
    let schedule = tokenizer.schedule();
    let [batch, ..] = tokens.dims();
    let mut canvas: Canvas = tokenizer.blank(batch);
    let mut parts = Vec::with_capacity(schedule.len() - 1);
    for k in 0..schedule.len() - 1 {
        let start = schedule.offset(k);
        let scale = tokens.clone().slice_dim(1, start..start + schedule.grid(k).positions());
        let embedding = tokenizer.embed(&Draw::tokens(scale), k)?;
        canvas = tokenizer.accumulate(canvas, embedding, k)?;
        parts.push(tokenizer.next_input(&canvas, k + 1)?);
    }
    Ok(Tensor::cat(parts, 1))
}

/// The cross-entropy in nats at every position, `[batch · positions]`, the sum over its slots: of logits
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

/// What the backbone reads of the conditions of training images.
fn rows(model: &Var, conditions: &[Condition]) -> CoreResult<ConditionRows> {
    model.conditioner().rows(conditions, PassCondition::Given)
}

fn numbers(values: Tensor<1>) -> Vec<f32> {
    values.into_data().iter::<f32>().collect()
}

struct BackboneTask<'a> {
    config: &'a TrainBackbone,
    tokenizer: Arc<dyn Tokenizer>,
    examples: Examples<'a>,
    order: Order,
    test: Tokens,
    classes: &'a [String],
    device: Device,
}

impl BackboneTask<'_> {
    /// The mean of values `[batch · L]` over each scale's positions.
    fn per_scale(&self, values: &[f32]) -> Vec<f32> {
        let schedule = self.tokenizer.schedule();
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

    /// The cross-entropy of the first `count` test images under their classes or under none: over all positions, then
    /// scale by scale.
    fn held_out(
        &self,
        model: &Var,
        count: usize,
        null: bool,
        evaluation: &mut Evaluation<'_>,
    ) -> Result<Vec<f64>> {
        let test = &self.test;
        let count = count.min(test.len());
        let starts: Vec<usize> = (0..count).step_by(BATCH).collect();
        let what = if null { "test images under no class" } else { "test images under their classes" };
        let values = evaluation.map(what, &starts, |&start| {
            let picks: Vec<usize> = (start..count.min(start + BATCH)).collect();
            let tokens = test.batch(&picks, &self.device);
            let features = teacher_features(&*self.tokenizer, &tokens)?;
            let conditions: Vec<Condition> = picks
                .iter()
                .map(|&i| if null { Condition::Null } else { Condition::Class(test.labels[i].into()) })
                .collect();
            Ok(numbers(cross_entropy(model.logits(features, &rows(model, &conditions)?)?, tokens)))
        })?;
        let values = values.concat();
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        Ok(std::iter::once(mean).chain(self.per_scale(&values).into_iter().map(f64::from)).collect())
    }
}

impl Task for BackboneTask<'_> {
    type Model = Var;
    type Pick = ((usize, View), Condition);
    type Seen = ();

    fn groups(&self, model: &Var) -> Groups {
        let parameters = model.parameters();
        let decayed = parameters.iter().filter(|p| is_decayed(&p.key, p.shape().len())).map(|p| p.id());
        let matrices = parameters.iter().filter_map(|p| Some((p.id(), matrices_in(&p.key)?)));
        Groups { decayed: decayed.collect(), matrices: matrices.collect() }
    }

    fn columns(&self) -> Vec<String> {
        (0..self.tokenizer.schedule().len()).map(|k| format!("scale_{k}")).collect()
    }

    fn picks(&mut self, step: u64) -> Vec<Self::Pick> {
        let (seed, dropout) = (self.config.seed, self.config.label_dropout);
        let picks = self.order.batch(step, self.config.batch).into_iter();
        picks
            .map(|(index, epoch)| {
                let dropped = uniform(&[seed, LABELS, epoch, index as u64]) < dropout;
                let class = Condition::Class(self.examples.label(index).into());
                let view = self.examples.view(seed, epoch, index);
                ((index, view), if dropped { Condition::Null } else { class })
            })
            .collect()
    }

    fn loss(&self, model: &Var, _step: u64, picks: &[Self::Pick]) -> Result<Loss<()>> {
        let (examples, conditions): (Vec<(usize, View)>, Vec<Condition>) = picks.iter().cloned().unzip();
        let tokens = self.examples.tokens(&examples, &self.device)?;
        let features = teacher_features(&*self.tokenizer, &tokens)?.autodiff();
        let losses = cross_entropy(model.logits(features, &rows(model, &conditions)?)?, tokens);
        let values = numbers(losses.clone().inner());
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        let numbers = Numbers { loss: mean as f32, parts: self.per_scale(&values) };
        Ok(Loss { scalar: losses.mean(), numbers, seen: () })
    }

    fn sample(&mut self, model: &Var, path: &Path) -> Result<()> {
        let classes = self.classes.len().min(10);
        let conditions: Vec<Condition> =
            (0..classes * SAMPLES).map(|i| Condition::Class(i / SAMPLES)).collect();
        let model =
            Model::new(Arc::clone(&self.tokenizer), Arc::new(model.clone()), Arc::new(model.conditioner()))?;
        let rule = Arc::new(Cfg::scale(Strength::Ramp(SAMPLE_CFG))?);
        let noise = Arc::new(Counter::new(self.config.seed));
        let generator = Generator::new(model, rule, Arc::new(TopKTopP::default()), noise)?;
        let images: Vec<u64> = (0..conditions.len() as u64).collect();
        let batch = Batch { images: &images, conditions: &conditions };
        write_sheet(path, generator.batch(batch, &mut (), &Stop::new())?, SAMPLES)
    }

    fn evaluate(
        &mut self,
        model: &Var,
        short: bool,
        mut evaluation: Evaluation<'_>,
    ) -> Result<Vec<(String, f64)>> {
        let count = if short { SHORT } else { self.test.len() };
        let mut numbers = Vec::new();
        for (name, null) in [("class", false), ("null", true)] {
            let values = self.held_out(model, count, null, &mut evaluation)?;
            let names =
                std::iter::once("all".to_owned()).chain((0..values.len() - 1).map(|k| format!("scale_{k}")));
            numbers.extend(names.zip(values).map(|(part, value)| (format!("{name}.{part}"), value)));
        }
        Ok(numbers)
    }

    fn export(&mut self, model: &Var, folder: &Path, step: u64) -> Result<()> {
        let path = folder.join(WEIGHTS);
        let mut metadata = model.metadata();
        metadata.insert("class_names".into(), self.classes.join("\n"));
        metadata.insert("scales".into(), self.tokenizer.schedule().to_string());
        metadata.insert("steps".into(), step.to_string());
        // Of the buffers, the levels alone: a reader tells the scales by them.
        let levels = model.buffers().into_iter().filter(|(key, _)| key == "lvl_1L");
        save_safetensors(&path, model.tensors().chain(levels), Precision::F16, &metadata)
            .map_err(|error| Error::data(&path, error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{BITS, BitToy, Toy};
    use burn::tensor::TensorData;

    #[test]
    fn bits_and_codes_of_an_image_have_the_same_teacher() {
        let images = Tensor::<1, Int>::arange(0..96, &Device::flex()).float().reshape([2, 3, 4, 4]) / 96.0;
        let features = |tokenizer: &dyn Tokenizer| {
            let tokens = Tensor::cat(tokenizer.encode(images.clone()).unwrap(), 1);
            teacher_features(tokenizer, &tokens).unwrap().into_data()
        };
        assert_eq!(features(&BitToy::new()), features(&Toy::new()));
    }

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
