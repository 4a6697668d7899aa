use burn::nn::{Linear, LinearConfig};
use burn::tensor::TensorData;

use super::*;
use crate::random::{hash, uniform};

const DEVICE_SEED: u64 = 5;

/// Learns a plane from keyed random points; counts its losses below one, as tokenizers count codes; asks to stop after a
/// step where told to.
struct Plane {
    below_one: f32,
    stop: Option<(u64, Arc<AtomicBool>)>,
}

impl Task for Plane {
    type Model = Linear;

    fn decayed(&self, model: &Linear) -> HashSet<ParamId> {
        [model.weight.id].into()
    }

    fn columns(&self) -> Vec<String> {
        vec!["half".into()]
    }

    fn loss(&mut self, model: &Linear, step: u64) -> Result<(Tensor<1>, Numbers)> {
        let points: Vec<f32> = (0..24).map(|i| uniform(&[hash(&[7, step]), i]) as f32).collect();
        let aims: Vec<f32> = points.chunks(3).map(|p| p[0] - 2.0 * p[1] + 0.5 * p[2]).collect();
        let device = Device::flex().autodiff();
        let aims = Tensor::<2>::from_data(TensorData::new(aims, [8, 1]), &device);
        let error = model.forward(Tensor::from_data(TensorData::new(points, [8, 3]), &device)) - aims;
        let loss = (error.clone() * error).mean();
        let value: f32 = loss.clone().into_scalar();
        self.below_one += f32::from(value < 1.0);
        if let Some((at, stop)) = &self.stop {
            stop.store(step == *at, Ordering::Relaxed);
        }
        Ok((loss, Numbers { loss: value, parts: vec![value / 2.0] }))
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

    fn evaluate(&mut self, model: &Linear, short: bool) -> Result<Vec<(String, f64)>> {
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
    options.stop.store(false, Ordering::Relaxed);
    let stop = stop_after.map(|step| (step, options.stop.clone()));
    let mut task = Plane { below_one: 0.0, stop };
    run(&mut task, start(), (steps, 8), &training(), &training(), options, &Device::flex())
}

fn options(folder: &Path, name: &str) -> Options {
    Options { quiet: true, resume: true, ..Options::new(folder.join(name)) }
}

/// The log without its last column, which is a speed.
fn losses(options: &Options) -> Vec<String> {
    let text = std::fs::read_to_string(options.out.join("log.csv")).unwrap();
    text.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect()
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
    assert!(go(&again, None, 30).unwrap_err().to_string().contains("resume that run"));
}
