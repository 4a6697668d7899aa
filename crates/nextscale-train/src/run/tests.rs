use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Tensor, TensorData};

use super::*;
use crate::optimiser::Groups;
use crate::random::{hash, uniform};
use crate::task::{Loss, Numbers};

const DEVICE_SEED: u64 = 5;
const BATCH: usize = 8;

/// Learns a plane from keyed random points; counts those that are less than one off, as tokenizers count
/// codes; requests a stop after a given step.
struct Plane {
    below_one: f32,
    parts: usize,
    stop: Option<(u64, Arc<AtomicBool>)>,
}

impl Task for Plane {
    type Model = Linear;
    type Pick = [f32; 3];
    type Seen = f32;

    fn groups(&self, model: &Linear) -> Groups {
        Groups { decayed: [model.weight.id].into(), ..Groups::default() }
    }

    fn columns(&self) -> Vec<String> {
        vec!["half".into()]
    }

    fn picks(&mut self, step: u64) -> Vec<[f32; 3]> {
        if let Some((at, stop)) = &self.stop {
            stop.store(step == *at, Ordering::Relaxed);
        }
        let point = |i| [0, 1, 2].map(|axis| uniform(&[hash(&[7, step]), 3 * i + axis]) as f32);
        (0..BATCH as u64).map(point).collect()
    }

    fn loss(&self, model: &Linear, _: u64, points: &[[f32; 3]]) -> Result<Loss<f32>> {
        let aims: Vec<f32> = points.iter().map(|p| p[0] - 2.0 * p[1] + 0.5 * p[2]).collect();
        let device = Device::flex().autodiff();
        let aims = Tensor::<2>::from_data(TensorData::new(aims, [points.len(), 1]), &device);
        let points = TensorData::new(points.concat(), [points.len(), 3]);
        let error = model.forward(Tensor::from_data(points, &device)) - aims;
        let below_one: i64 = error.clone().inner().abs().lower_elem(1.0).int().sum().into_scalar();
        let scalar = (error.clone() * error).mean();
        let loss: f32 = scalar.clone().into_scalar();
        Ok(Loss {
            scalar,
            numbers: Numbers { loss, parts: vec![loss / 2.0; self.parts] }.into(),
            seen: below_one as f32,
        })
    }

    fn after_update(&mut self, model: Linear, _: u64, seen: Vec<f32>) -> Result<Linear> {
        self.below_one += seen.iter().sum::<f32>();
        Ok(model)
    }

    fn window_columns(&self) -> Vec<String> {
        vec!["below_one".into()]
    }

    fn window(&mut self) -> Vec<f64> {
        vec![f64::from(std::mem::take(&mut self.below_one))]
    }

    fn counters(&self) -> BTreeMap<String, Vec<f32>> {
        [("below_one".into(), vec![self.below_one])].into()
    }

    fn set_counters(&mut self, counters: &BTreeMap<String, Vec<f32>>) {
        self.below_one = counters["below_one"][0];
    }

    fn sample(&mut self, _: &Linear, path: &Path) -> Result<()> {
        write_atomically(path, b"sheet").map_err(Error::io(path))
    }

    fn evaluate(&mut self, model: &Linear, short: bool, _: Evaluation<'_>) -> Result<Vec<(String, f64)>> {
        assert!(!model.weight.val().is_autodiff());
        let bias: f32 = model.bias.as_ref().unwrap().val().into_scalar();
        Ok(vec![("bias".into(), f64::from(bias)), ("short".into(), f64::from(u8::from(short)))])
    }

    fn export(&mut self, _: &Linear, folder: &Path, step: u64) -> Result<()> {
        let path = folder.join("weights");
        write_atomically(&path, step.to_string().as_bytes()).map_err(Error::io(&path))
    }
}

fn start() -> Linear {
    let device = Device::flex().autodiff();
    let model = LinearConfig::new(3, 1).init(&device);
    let weight = |p: crate::params::Parameter| {
        let length = p.values.dims()[0];
        let values: Vec<f32> = (0..length).map(|i| uniform(&[DEVICE_SEED, i as u64]) as f32).collect();
        Some(Tensor::from_data(TensorData::new(values, [length]), &Device::flex()))
    };
    crate::params::replace(model, weight)
}

fn training() -> Training {
    Training { learning_rate: 0.05, ema: 0.9, log_every: 4, sample_every: 10, ..Training::default() }
}

fn go(options: &Options, stop_after: Option<u64>, steps: u64) -> Result<Outcome> {
    go_in(&training(), options, stop_after, steps)
}

fn go_in(training: &Training, options: &Options, stop_after: Option<u64>, steps: u64) -> Result<Outcome> {
    options.stop.store(false, Ordering::Relaxed);
    let stop = stop_after.map(|step| (step, options.stop.clone()));
    let mut task = Plane { below_one: 0.0, parts: 1, stop };
    train_task(&mut task, start(), (steps, BATCH), training, training, options, &Device::flex())
}

fn options(folder: &Path, name: &str) -> Options {
    Options { quiet: true, resume: true, ..Options::new(folder.join(name)) }
}

/// The log without its last two columns, which are a speed and a time.
fn losses(options: &Options) -> Vec<String> {
    let text = std::fs::read_to_string(options.out.join("log.csv")).unwrap();
    text.lines().map(|line| line.rsplitn(3, ',').last().unwrap().to_owned()).collect()
}

#[test]
fn a_resumed_run_equals_a_straight_one_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (straight, resumed) = (options(folder.path(), "straight"), options(folder.path(), "resumed"));
    let outcome = go(&straight, None, 30).unwrap();
    assert!(outcome.finished && outcome.step == 30);
    // Stopped in the middle of a window of the log, and once between sheets.
    for stop in [5, 17] {
        let outcome = go(&resumed, Some(stop), 30).unwrap();
        assert_eq!((outcome.step, outcome.finished), (stop + 1, false));
        assert!(!resumed.out.join("weights").exists());
    }
    assert_eq!(go(&resumed, None, 30).unwrap().evaluation, outcome.evaluation);
    assert_eq!(losses(&resumed), losses(&straight));
    assert_eq!(losses(&straight).len(), 1 + 8);
    let table = crate::log::Table::read(&resumed.out.join("log.csv")).unwrap();
    let seconds: Vec<f64> = table.points(SECONDS).unwrap().into_iter().map(|(_, seconds)| seconds).collect();
    assert!(seconds[0] > 0.0 && seconds.is_sorted() && seconds.len() == 8, "{seconds:?}");
    let bytes = |options: &Options, file: &str| std::fs::read(options.out.join(file)).unwrap();
    for file in [
        checkpoint::FILE,
        "evaluation.csv",
        "evaluation.json",
        "weights",
        "samples-000010.png",
        "samples.png",
    ] {
        assert_eq!(bytes(&straight, file), bytes(&resumed, file), "{file}");
    }
}

#[test]
fn the_loss_falls_and_decay_acts() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path(), "run");
    go(&options, None, 300).unwrap();
    let rows = losses(&options);
    let loss = |row: &str| row.split(',').nth(1).unwrap().parse::<f64>().unwrap();
    assert!(loss(rows.last().unwrap()) < 0.1 * loss(&rows[1]), "{rows:?}");
}

#[test]
fn a_time_budget_stops_with_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { max_minutes: Some(0.0), ..options(folder.path(), "run") };
    let outcome = go(&options, None, 30).unwrap();
    assert_eq!((outcome.step, outcome.finished), (1, false));
    assert!(checkpoint::path(&options.out).exists());
}

#[test]
fn a_folder_with_a_run_in_it_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path(), "run");
    go(&options, Some(2), 30).unwrap();
    let again = Options { resume: false, ..options };
    let error = go(&again, None, 30).unwrap_err().to_string();
    assert!(error.contains("after step 3; resume it with --resume"), "{error}");
}

/// The weights of a checkpoint.
fn weights(options: &Options) -> Vec<f32> {
    let bytes = std::fs::read(checkpoint::path(&options.out)).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let names = ["weights.weight", "weights.bias"];
    let values = names
        .iter()
        .flat_map(|name| bytemuck::pod_collect_to_vec::<u8, f32>(file.tensor(name).unwrap().data()));
    values.collect()
}

#[test]
fn micro_batches_take_the_same_course_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let whole = options(folder.path(), "whole");
    go(&whole, None, 30).unwrap();
    for micro_batches in [2, 3, 8] {
        let training = Training { micro_batches, ..training() };
        let outs = [1, 2, 3].map(|threads| {
            let options = options(folder.path(), &format!("{micro_batches}-{threads}"));
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let stop = (threads == 2).then_some(13);
            pool.install(|| go_in(&training, &options, stop, 30)).unwrap();
            if stop.is_some() {
                pool.install(|| go_in(&training, &options, None, 30)).unwrap();
            }
            options
        });
        let bytes = outs.each_ref().map(|options| std::fs::read(checkpoint::path(&options.out)).unwrap());
        assert!(bytes[0] == bytes[1] && bytes[0] == bytes[2], "{micro_batches} micro-batches");
        assert_eq!(losses(&outs[0]), losses(&outs[1]));
        for (found, expected) in weights(&outs[0]).iter().zip(weights(&whole)) {
            assert!((found - expected).abs() < 1e-5, "{micro_batches} micro-batches: {found} for {expected}");
        }
        let counted = |options: &Options| {
            losses(options).iter().map(|row| row.split(',').nth(3).unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(counted(&outs[0]), counted(&whole));
    }
}

#[test]
fn what_a_task_or_its_settings_say_wrong_is_told_before_the_model_changes() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path(), "wrong");
    let go = |parts: usize, training: &Training| {
        let mut task = Plane { below_one: 0.0, parts, stop: None };
        train_task(&mut task, start(), (3, BATCH), training, training, &options, &Device::flex()).unwrap_err()
    };
    let error = go(2, &training());
    assert_eq!(error.to_string(), "the task names 1 parts of its loss, and gave 2 in step 0");
    assert!(!checkpoint::path(&options.out).exists());
    let error = go(1, &Training { micro_batches: BATCH + 1, ..training() });
    assert!(matches!(&error, Error::Setting { field, .. } if field == "micro_batches"), "{error}");
}

/// The only step's loss is sound, and no later one would tell.
#[test]
fn a_last_update_that_breaks_the_weights_is_told_and_leaves_no_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(folder.path(), "broken");
    let training = Training { learning_rate: 1e300, schedule: constant(), ..training() };
    let training =
        Training { optimiser: AdamWConfig { weight_decay: 0.0, ..training.optimiser }, ..training };
    let error = go_in(&training, &options, None, 1).unwrap_err();
    assert!(matches!(&error, Error::NotFinite { step: 1, .. }), "{error}");
    assert!(error.to_string().starts_with("the weight `"), "{error}");
    assert!(!checkpoint::path(&options.out).exists() && !options.out.join("weights").exists());
}

fn constant() -> Schedule {
    Schedule { shape: crate::schedule::Shape::Constant, ..Schedule::default() }
}
