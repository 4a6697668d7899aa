//! The sketch is trained by the loop of the built-in trainings, as another crate would write it: with a log,
//! sample sheets, averages of weights, micro-batches, checkpoints, and an export that the family opens.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

// Everything that a crate with a training needs.
use nextscale::burn;
use nextscale::burn::module::{Module, Param};
use nextscale::burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale::cli::{Program, Trainings};
use nextscale::core::noise::Counter;
use nextscale::core::{Condition, ConditionRows, PassCondition};
use nextscale::families::{Architecture, ModelPart};
use nextscale::generate::sampler::TopKTopP;
use nextscale::generate::{Batch, Generator, Stop};
use nextscale::guidance::{Cfg, Strength};
use nextscale::kernels::cross_entropy;
use nextscale::tokenizers::Tokenizer;
use nextscale::train::random::{Order, uniform};
use nextscale::train::sheet::write_sheet;
use nextscale::train::task::{Evaluation, Groups, Loss, Numbers, Task, Unread};
use nextscale::train::{Error, Options, Outcome, Result, Training, teacher_features, train_task};
use nextscale::weights::{Precision, WeightFile, save_safetensors};
use serde::{Deserialize, Serialize};

use super::sketch::{self, BITS, FEATURES, HEAD, Paper, WIDTH, Words};
use super::{go, registry};
use nextscale::backbones::Conditioner;

const WEIGHTS: &str = "sketch.safetensors";
/// Generated training images, followed by those for evaluation.
const TRAIN: usize = 40;
const TEST: usize = 24;
/// An image's text says which of its colours are bright.
const TEXTS: [&str; 4] = ["dark", "red", "green", "red green"];
/// Keys of the random streams.
const START: u64 = 1;
const DROPOUT: u64 = 2;
const PIXELS: u64 = 3;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainSketch {
    seed: u64,
    steps: u64,
    batch: usize,
    #[serde(default)]
    training: Training,
    #[serde(default)]
    model: Sizes,
}

/// There is only one size of sketch.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sizes {}

/// The head, `[FEATURES, 2 · BITS]`.
#[derive(Module, Debug)]
struct Learner {
    head: Param<Tensor<2>>,
}

impl Learner {
    fn values(&self) -> Vec<f32> {
        self.head.val().into_data().iter::<f32>().collect()
    }
}

/// What `nextscale train backbone` trains if a config's `model` is a `Sketch`.
pub fn architecture() -> Architecture {
    Architecture::new(ModelPart::Backbone, "Sketch", train_sketch)
}

fn train_sketch(config: TrainSketch, _: &Path, options: &Options, device: &Device) -> Result<Outcome> {
    let head: Vec<f32> =
        (0..FEATURES * 2 * BITS).map(|i| uniform(&[config.seed, START, i as u64]) as f32 - 0.5).collect();
    let head = TensorData::new(head, [FEATURES, 2 * BITS]);
    let model = Learner { head: Param::from_tensor(Tensor::from_data(head, &device.clone().autodiff())) };
    let order = Order::new(TRAIN, config.seed);
    let mut task = SketchTask { seed: config.seed, batch: config.batch, order, device: device.clone() };
    let length = (config.steps, config.batch);
    train_task(&mut task, model, length, &config.training, &config, options, device)
}

fn text(image: usize) -> Condition {
    Condition::Prompt(TEXTS[image % TEXTS.len()].into())
}

/// `[3, height, width]` in [0, 1].
fn pixels(image: usize, (height, width): (usize, usize)) -> impl Iterator<Item = f32> {
    let bright = [image % 4 % 2 == 1, image % 4 >= 2, false];
    (0..3 * height * width).map(move |i| {
        let noise = uniform(&[PIXELS, image as u64, i as u64]) as f32 - 0.5;
        let level = if bright[i / (height * width)] { 0.7 } else { 0.3 };
        level + 0.02 * noise
    })
}

struct SketchTask {
    seed: u64,
    batch: usize,
    order: Order,
    device: Device,
}

impl SketchTask {
    /// What the head reads at every position of these images, `[images · positions, FEATURES]`, and
    /// the bits that it should predict, `[images · positions · BITS]`.
    fn examples(&self, picks: &[(usize, Condition)]) -> Result<(Tensor<2>, Tensor<1, Int>)> {
        let tokenizer = Paper::new(&self.device);
        let schedule = tokenizer.schedule();
        let (height, width) = tokenizer.image_size();
        let values: Vec<f32> = picks.iter().flat_map(|(image, _)| pixels(*image, (height, width))).collect();
        let images = TensorData::new(values, [picks.len(), 3, height, width]);
        let tokens = Tensor::cat(tokenizer.encode(Tensor::from_data(images, &self.device))?, 1);
        // The first scale has no input, which reads as zeros.
        let first = Tensor::zeros([picks.len(), schedule.grid(0).positions(), BITS], &self.device);
        let inputs = Tensor::cat(vec![first, teacher_features(&tokenizer, &tokens)?], 1);
        let inputs: Vec<f32> = inputs.into_data().iter::<f32>().collect();
        let conditions: Vec<Condition> = picks.iter().map(|(_, condition)| condition.clone()).collect();
        let words = Words { device: self.device.clone() };
        let ConditionRows::Embeddings { values, mask } = words.rows(&conditions, PassCondition::Given)?
        else {
            unreachable!("words are embeddings");
        };
        let texts = sketch::means(&values, &mask)?;
        let mut features = Vec::new();
        for (inputs, text) in inputs.chunks(schedule.positions() * BITS).zip(texts.chunks(WIDTH)) {
            for k in 0..schedule.len() {
                let (earlier, rest) = inputs.split_at(schedule.offset(k) * BITS);
                let own = &rest[..schedule.grid(k).positions() * BITS];
                let earlier = sketch::mean(earlier.chunks(BITS));
                features.extend(sketch::features(own, earlier, text, schedule.grid(k)));
            }
        }
        let rows = features.len() / FEATURES;
        let features = Tensor::from_data(TensorData::new(features, [rows, FEATURES]), &self.device);
        Ok((features, tokens.reshape([rows * BITS])))
    }

    /// The cross-entropy of every bit, image by image.
    fn losses(&self, head: Tensor<2>, (features, bits): (Tensor<2>, Tensor<1, Int>)) -> Tensor<1> {
        let choices = bits.dims()[0];
        cross_entropy(features.matmul(head).reshape([choices, 2]), bits)
    }
}

fn numbers(losses: Tensor<1>) -> Vec<f32> {
    losses.into_data().iter::<f32>().collect()
}

fn average(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

impl Task for SketchTask {
    type Model = Learner;
    type Pick = (usize, Condition);
    type Seen = ();

    fn groups(&self, model: &Learner) -> Groups {
        Groups { decayed: [model.head.id].into(), ..Groups::default() }
    }

    fn columns(&self) -> Vec<String> {
        vec!["finest".into()]
    }

    fn picks(&mut self, step: u64) -> Vec<(usize, Condition)> {
        let seed = self.seed;
        let pick = |(image, epoch)| {
            let dropped = uniform(&[seed, DROPOUT, epoch, image as u64]) < 0.1;
            (image, if dropped { Condition::Null } else { text(image) })
        };
        self.order.batch(step, self.batch).into_iter().map(pick).collect()
    }

    fn loss(&self, model: &Learner, _: u64, picks: &[(usize, Condition)]) -> Result<Loss<()>> {
        let (features, bits) = self.examples(picks)?;
        let losses = self.losses(model.head.val(), (features.autodiff(), bits));
        let (count, finest) = (picks.len(), sketch::schedule().last().positions() * BITS);
        let numbers = Unread::new(losses.clone().inner(), move |values| {
            let ends = values.chunks(values.len() / count).flat_map(|image| &image[image.len() - finest..]);
            let parts = vec![average(&ends.copied().collect::<Vec<_>>())];
            Numbers { loss: average(values), parts }
        });
        Ok(Loss { scalar: losses.mean(), numbers, seen: () })
    }

    fn sample(&mut self, model: &Learner, path: &Path) -> Result<()> {
        let model = sketch::model(model.values(), &self.device)?;
        let rule = Arc::new(Cfg::scale(Strength::Ramp(1.0))?);
        let noise = Arc::new(Counter::new(self.seed));
        let generator = Generator::new(model, rule, Arc::new(TopKTopP::default()), noise)?;
        let conditions: Vec<Condition> = (0..8).map(text).collect();
        let images: Vec<u64> = (0..8).collect();
        let batch = Batch { images: &images, conditions: &conditions };
        write_sheet(path, generator.batch(batch, &mut (), &Stop::new())?, TEXTS.len())
    }

    fn evaluate(
        &mut self,
        model: &Learner,
        short: bool,
        mut evaluation: Evaluation<'_>,
    ) -> Result<Vec<(String, f64)>> {
        let images: Vec<usize> = (TRAIN..TRAIN + if short { TEST / 2 } else { TEST }).collect();
        let batches: Vec<&[usize]> = images.chunks(8).collect();
        let losses = evaluation.map("test images", &batches, |images| {
            let picks: Vec<_> = images.iter().map(|&image| (image, text(image))).collect();
            Ok(numbers(self.losses(model.head.val(), self.examples(&picks)?)))
        })?;
        Ok(vec![("bits".into(), f64::from(average(&losses.concat())))])
    }

    fn export(&mut self, model: &Learner, folder: &Path, step: u64) -> Result<()> {
        let path = folder.join(WEIGHTS);
        let head = TensorData::new(model.values(), [FEATURES, 2 * BITS]);
        let metadata = BTreeMap::from([("steps".to_owned(), step.to_string())]);
        save_safetensors(&path, [(HEAD.to_owned(), head)], Precision::F32, &metadata)
            .map_err(|error| Error::data(&path, error.to_string()))
    }
}

fn program() -> Program {
    let trainings = Trainings::standard().with("sketch", "A toy of bits", train_sketch);
    Program::new(registry()).with_trainings(trainings)
}

/// A folder with a training's config.
fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let config = "(seed: 3, steps: 6, batch: 5, training: (learning_rate: 0.1, ema: 0.5, micro_batches: 2, \
                  log_every: 2, sample_every: 4))";
    fs::write(place.path().join("train.ron"), config).unwrap();
    place
}

fn train(program: &Program, what: &str, place: &Path, out: &str, more: &[&str]) -> ExitCode {
    let paths = ["train.ron", out].map(|name| place.join(name).to_str().unwrap().to_owned());
    let arguments = ["nextscale", "train", what, &paths[0], "--out", &paths[1]];
    program.run(arguments.iter().chain(more))
}

/// The log without its last column, which is a speed.
fn log(out: &Path) -> Vec<String> {
    let text = fs::read_to_string(out.join("log.csv")).unwrap();
    // Without the speed and the seconds.
    text.lines().map(|line| line.rsplitn(3, ',').last().unwrap().to_owned()).collect()
}

#[test]
fn a_training_from_outside_stopped_after_every_step_equals_a_straight_one() {
    let place = place();
    let go = |out: &str, more: &[&str]| train(&program(), "sketch", place.path(), out, more);
    assert_eq!(go("straight", &[]), ExitCode::SUCCESS);
    for _ in 0..3 {
        assert_eq!(go("resumed", &["--resume", "--minutes", "0"]), ExitCode::from(130));
        assert!(!place.path().join("resumed").join(WEIGHTS).exists());
    }
    // A checkpoint is not overwritten without being asked, nor resumed with another config.
    assert_eq!(go("resumed", &[]), ExitCode::from(2));
    assert_eq!(go("resumed", &["--resume", "--set", "batch=4"]), ExitCode::from(2));
    assert_eq!(go("resumed", &["--resume"]), ExitCode::SUCCESS);

    let [straight, resumed] = ["straight", "resumed"].map(|out| place.path().join(out));
    for file in [WEIGHTS, "checkpoint.safetensors", "samples-000004.png", "samples.png", "evaluation.json"] {
        let bytes = |out: &Path| fs::read(out.join(file)).unwrap();
        assert!(bytes(&straight) == bytes(&resumed), "{file} differs");
    }
    let rows = log(&straight);
    assert_eq!(rows, log(&resumed));
    assert_eq!((&*rows[0], rows.len()), ("step,loss,finest,gradient_norm,learning_rate", 4));
    assert_eq!(
        fs::read(straight.join("evaluation.csv")).unwrap(),
        fs::read(resumed.join("evaluation.csv")).unwrap()
    );

    assert_eq!(go("other", &["--seed", "4"]), ExitCode::SUCCESS);
    let weights = |out: &Path| fs::read(out.join(WEIGHTS)).unwrap();
    assert_ne!(weights(&straight), weights(&place.path().join("other")));
}

#[test]
fn a_config_that_names_the_family_trains_its_backbone() {
    let place = place();
    let plain = fs::read_to_string(place.path().join("train.ron")).unwrap();
    fs::write(place.path().join("named.ron"), plain.replace("(seed", "(model: Sketch, seed")).unwrap();
    let program = Program::new(registry());
    let paths = ["named.ron", "named"].map(|name| place.path().join(name).to_str().unwrap().to_owned());
    let go = |more: &[&str]| {
        program.run(["nextscale", "train", "backbone", &paths[0], "--out", &paths[1]].iter().chain(more))
    };
    // The program's first family has other settings.
    assert_eq!(train(&program, "backbone", place.path(), "of-the-first", &[]), ExitCode::from(2));
    assert_eq!(go(&["--set", "model=Skech"]), ExitCode::from(2));
    assert_eq!(go(&["--set", "model=Sketch(depth: 1)"]), ExitCode::from(2));
    assert_eq!(go(&[]), ExitCode::SUCCESS);
    assert_eq!(train(&self::program(), "sketch", place.path(), "called", &[]), ExitCode::SUCCESS);
    let weights = |out: &str| fs::read(place.path().join(out).join(WEIGHTS)).unwrap();
    assert_eq!(weights("named"), weights("called"));
}

#[test]
fn what_a_training_from_outside_learns_is_recognised_and_draws() {
    let place = place();
    let more = ["--set", "steps=30", "--set", "training.log_every=1"];
    assert_eq!(train(&program(), "sketch", place.path(), "out", &more), ExitCode::SUCCESS);
    let out = place.path().join("out");
    let losses: Vec<f64> =
        log(&out)[1..].iter().map(|row| row.split(',').nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!(losses.len(), 30);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (first, last) = (mean(&losses[..5]), mean(&losses[25..]));
    assert!(last < 0.8 * first, "{first} to {last}");

    let path = out.join(WEIGHTS);
    let found = registry().recognise(&WeightFile::open(&path).unwrap()).unwrap();
    assert_eq!(found, "A sketch that can be used: scales 1 1×2 2×3 3×4");
    let config = "(model: Sketch(weights: \"out/sketch.safetensors\"), seed: 5, guidance: Cfg(scale: 1.5), \
                  condition: Prompts(texts: [\"red\", \"green\"]))";
    let drawn = go(place.path(), config, "drawn").unwrap();
    // It has learnt what the words mean.
    let sums = drawn.iter().map(|picture| {
        picture.pixels().fold([0; 2], |sum, pixel| [0, 1].map(|c| sum[c] + u32::from(pixel[c])))
    });
    let sums: Vec<[u32; 2]> = sums.collect();
    assert!(sums[0][0] > sums[0][1] && sums[1][0] < sums[1][1], "{sums:?}");
}

#[test]
fn what_a_program_does_not_train_and_what_a_config_does_not_have_is_wrong_usage() {
    let place = place();
    let usage = ExitCode::from(2);
    let plain = Program::new(registry());
    assert_eq!(train(&plain, "sketch", place.path(), "out", &[]), usage);
    assert_eq!(train(&program(), "skech", place.path(), "out", &[]), usage);
    assert_eq!(train(&program(), "sketch", place.path(), "out", &["--set", "sede=1"]), usage);
    assert_eq!(
        train(&program(), "sketch", place.path(), "out", &["--set", "training.micro_batches=6"]),
        usage
    );
    assert!(!place.path().join("out").exists());
}
