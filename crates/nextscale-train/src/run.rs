//! The loop of all trainings: loss, gradients, update, log, samples, checkpoints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use nextscale_core::{Lanes, is_cpu, memory};
use nextscale_files::write_atomically;
use rayon::ThreadPoolBuildError;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::checkpoint::{self, State};
use crate::ema::Ema;
use crate::evaluation::Evaluation;
use crate::log::{Log, SECONDS};
use crate::micro_batches::{StepResult, pass};
use crate::muon::MuonConfig;
use crate::optimiser::{AdamWConfig, Optimiser};
use crate::params::parameters;
use crate::progress::Progress;
use crate::reports::{Report, Reports};
use crate::schedule::Schedule;
use crate::task::Task;
use crate::{Error, Result};

/// Execution options; they do not affect the result.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder that the run writes: log, sample sheets, checkpoint, and the weights at the end.
    pub out: PathBuf,
    /// Resume from the checkpoint in `out`, if there is one.
    pub resume: bool,
    /// Stop with a checkpoint after this many minutes.
    pub max_minutes: Option<f64>,
    /// Minutes between checkpoints.
    pub checkpoint_minutes: f64,
    /// Set from outside (such as a signal handler) to stop with a checkpoint after the current step.
    pub stop: Arc<AtomicBool>,
    /// Print nothing.
    pub quiet: bool,
}

impl Options {
    /// A run into `out` from the start, without a time limit, with a checkpoint every two minutes.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self {
            out: out.into(),
            resume: false,
            max_minutes: None,
            checkpoint_minutes: 2.0,
            stop: Arc::default(),
            quiet: false,
        }
    }
}

/// Settings of every training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    /// The peak learning rate.
    pub learning_rate: f64,
    /// Its course over the run.
    pub schedule: Schedule,
    /// The optimiser's settings.
    pub optimiser: AdamWConfig,
    /// Muon for the matrices of a backbone's blocks, in place of AdamW.
    pub muon: Option<MuonConfig>,
    /// The decay of the moving average of weights, which is evaluated and exported; 0 is off.
    pub ema: f64,
    /// Parts that a step's images are split into, which run in parallel or, if there are more parts than
    /// threads, in turn. The gradient is that of the whole up to the order of its sums.
    pub micro_batches: usize,
    /// Steps between rows of the log.
    pub log_every: u64,
    /// Steps between sample sheets and short evaluations; 0 for only at the end.
    pub sample_every: u64,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            learning_rate: 1.5e-3,
            schedule: Schedule::default(),
            optimiser: AdamWConfig::default(),
            muon: None,
            ema: 0.0,
            micro_batches: 1,
            log_every: 25,
            sample_every: 500,
        }
    }
}

/// The outcome of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Finished steps, of those that the config asks for.
    pub step: u64,
    /// Whether all steps are finished; otherwise there is a checkpoint to resume from.
    pub finished: bool,
    /// The final evaluation, by name. Empty if the run is not finished.
    pub evaluation: Vec<(String, f64)>,
    /// Seconds spent on the loss (data and forward pass), on gradients, and on the update.
    pub seconds: [f64; 3],
}

const WINDOW: &str = "log.window";

/// Trains `model` on `task` for `steps` updates of `batch` images each, and writes the run's folder,
/// `options.out`: `log.csv`, sample sheets and `evaluation.csv` during training, `checkpoint.safetensors`,
/// and at the end what the task exports, `samples.png` and `evaluation.json`. The batch is only used for
/// checks and speeds: the task picks the images.
///
/// The model's parameters must be on `device.clone().autodiff()`. The checkpoint identifies them by the path
/// of their fields, so fields must not be renamed between a run and its resumption. To resume, pass the same
/// `model` again: the checkpoint's values replace its own.
///
/// `config` contains everything that affects the result, including `training`. It is stored in the
/// checkpoint, and a run is only resumed under the same config, except that `steps` and `dtype`, and
/// `micro_batches` and a trapezoid's `from` in a field called `training`, may differ.
///
/// # Errors
/// [`Error::Setting`] as [`Training::check`], and for Muon if the task names no matrices; [`Error::Diverged`]
/// if the loss is not finite, [`Error::NotFinite`] if a gradient, a weight or an evaluation is not; [`Error::Parts`] if the task returns other parts of it than it names;
/// [`Error::Io`] and [`Error::Checkpoint`] for the run's folder; and the task's.
pub fn train_task<T: Task>(
    task: &mut T,
    model: T::Model,
    (steps, batch): (u64, usize),
    training: &Training,
    config: &(impl Serialize + DeserializeOwned),
    options: &Options,
    device: &Device,
) -> Result<Outcome> {
    training.check(steps, batch)?;
    let out = &options.out;
    std::fs::create_dir_all(out).map_err(Error::io(out))?;
    let weights = model.num_params();
    let copies = if training.ema > 0.0 { 5 } else { 4 };
    let what = format!("training {weights} weights, with a gradient and moments of each,");
    memory::check("model", &what, memory::of_f32(&[weights, copies]))?;
    let ema = (training.ema > 0.0).then(|| Ema::new(&model, training.ema));
    let groups = task.groups(&model);
    if training.muon.is_some() && groups.matrices.is_empty() {
        return Err(Error::setting(
            "training.muon",
            "updates the matrices of a transformer's blocks, and this training has none; leave it out",
        ));
    }
    let optimiser = Optimiser::new(training.optimiser, training.muon, groups);
    let mut state = State { step: 0, model, optimiser, ema, counters: BTreeMap::new() };
    if checkpoint::path(out).exists() {
        if !options.resume {
            return Err(Error::checkpoint(
                checkpoint::path(out),
                match checkpoint::step(out) {
                    Some(step) => format!(
                        "exists already, after step {step}; resume it with --resume, or choose another folder with --out"
                    ),
                    None => "exists already; choose another folder with --out".into(),
                },
            ));
        }
        state = checkpoint::load(out, config, state, device)?;
        task.set_counters(&state.counters);
    }
    let mut columns = vec!["loss".to_owned()];
    columns.extend(task.columns());
    let width = columns.len();
    let extra = task
        .window_columns()
        .into_iter()
        .chain(["gradient_norm", "learning_rate", "images_per_second", SECONDS].map(String::from));
    let log_columns: Vec<String> = columns.iter().cloned().chain(extra).collect();
    let mut log = Log::open(&out.join("log.csv"), &log_columns, state.step)?;
    let before = log.seconds();
    let mut evaluations = Evaluations { log: None, done: state.step };
    // The rows of the window so far, so that its means are the same after resuming.
    let mut window = state.counters.remove(WINDOW).unwrap_or_default();
    let mut progress = Progress::new(steps, state.step, batch, options.quiet);
    match state.step {
        0 if options.resume => {
            progress.line(&format!("{} holds no checkpoint: this begins at step 0", out.display()))
        }
        0 => {}
        step if step < steps => {
            progress.line(&format!("resumed from the checkpoint, after step {step} of {steps}"))
        }
        step => progress.line(&format!("all {step} steps are done; only what follows them is made again")),
    }
    let begun = Instant::now();
    let mut saved = Instant::now();
    let mut seconds = [0.0; 3];
    let threads = |error: ThreadPoolBuildError| Error::setting("training.micro_batches", error.to_string());
    let on_cpu = is_cpu(device);
    // What several threads ask a device for, it must put in an order first.
    let lanes = Lanes::new(if on_cpu { training.micro_batches } else { 1 }).map_err(threads)?;
    let whole = Lanes::of(device).map_err(threads)?;
    let mut reports = Reports::default();
    let mut last = (0.0, 0.0);

    while state.step < steps {
        let step = state.step;
        let picks = task.picks(step);
        let StepResult { gradients, numbers, seen, seconds: passed } =
            pass(&lanes, training.micro_batches, task, &state.model, step, &picks)?;
        let derived = Instant::now();
        let rate = training.learning_rate * training.schedule.factor(step, steps);
        let norm;
        (state.model, norm) = state.optimiser.update(state.model, gradients, rate);
        reports.push(step, numbers, norm);
        if on_cpu {
            // Nothing waits for it, and a fault is told at once.
            read(&mut reports, width, &mut window, &mut last)?;
        }
        if let Some(ema) = &mut state.ema {
            let Optimiser { updates, moments, .. } = &state.optimiser;
            ema.update(&state.model, *updates, |name| moments.contains_key(name));
        }
        state.model = task.after_update(state.model, step, seen)?;
        state.step += 1;
        let [forwards, backwards] = passed;
        for (total, part) in seconds.iter_mut().zip([forwards, backwards, derived.elapsed().as_secs_f64()]) {
            *total += part;
        }

        let ends = state.step == steps;
        let in_log = state.step.is_multiple_of(training.log_every.max(1)) || ends;
        let at_sample = training.sample_every > 0 && state.step.is_multiple_of(training.sample_every);
        let shown = progress.is_due(state.step);
        if in_log || at_sample || shown || reports.are_many() {
            read(&mut reports, width, &mut window, &mut last)?;
        }
        let (loss, norm) = last;
        if in_log {
            let rows = (window.len() / width) as f64;
            let mean =
                |column| window.iter().skip(column).step_by(width).map(|&v| f64::from(v)).sum::<f64>() / rows;
            let mut row: Vec<f64> = (0..width).map(mean).collect();
            row.extend(task.window());
            row.extend([norm, rate, progress.rate(state.step), before + begun.elapsed().as_secs_f64()]);
            log.row(state.step, &row)?;
            window.clear();
        }
        if shown {
            progress.show(state.step, loss);
        }
        if at_sample && state.step < steps {
            let model = averaged(&state);
            task.sample(&model, &out.join(format!("samples-{:06}.png", state.step)))?;
            let numbers =
                task.evaluate(&model, true, Evaluation { lanes: &whole, progress: &mut progress })?;
            progress.line(&format!("{} (part of the test split): {}", state.step, words(&numbers)));
            evaluations.row(out, state.step, &numbers)?;
        }
        let spent = options.max_minutes.is_some_and(|minutes| begun.elapsed() >= minutes_of(minutes));
        let stop = options.stop.load(Ordering::Relaxed) || (spent && state.step < steps);
        if stop || saved.elapsed() >= minutes_of(options.checkpoint_minutes) || ends {
            read(&mut reports, width, &mut window, &mut last)?;
            // The last update has no later loss that would tell, and a checkpoint of such weights would take
            // the place of a sound one.
            check_finite(&state)?;
            state.counters = task.counters();
            state.counters.insert(WINDOW.into(), window.clone());
            checkpoint::save(out, config, &state)?;
            saved = Instant::now();
        }
        if stop && state.step < steps {
            progress.line(&format!(
                "stopped after step {} of {steps}; --resume continues from there",
                state.step
            ));
            progress.finish();
            return Ok(Outcome { step: state.step, finished: false, evaluation: Vec::new(), seconds });
        }
    }
    let model = averaged(&state);
    task.export(&model, out, state.step)?;
    task.sample(&model, &out.join("samples.png"))?;
    let evaluation = task.evaluate(&model, false, Evaluation { lanes: &whole, progress: &mut progress })?;
    progress.finish();
    progress.line(&format!("test split: {}", words(&evaluation)));
    let summary: BTreeMap<&str, f64> =
        evaluation.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let summary =
        serde_json::to_string_pretty(&summary).map_err(|error| Error::data(out, error.to_string()))?;
    let path = out.join("evaluation.json");
    write_atomically(&path, summary.as_bytes()).map_err(Error::io(&path))?;
    if let Some((name, _)) = evaluation.iter().find(|(_, value)| value.is_nan()) {
        return Err(Error::NotFinite { step: state.step, what: format!("`{name}` of the evaluation") });
    }
    Ok(Outcome { step: state.step, finished: true, evaluation, seconds })
}

/// Reads what the steps have reported since the last time: into the window, and the last one's loss and norm.
fn read(reports: &mut Reports, width: usize, window: &mut Vec<f32>, last: &mut (f64, f64)) -> Result<()> {
    for Report { numbers, norm } in reports.read(width)? {
        *last = (f64::from(numbers.loss), norm);
        window.push(numbers.loss);
        window.extend(numbers.parts);
    }
    Ok(())
}

/// The model to evaluate: the averages if the run keeps them, outside of autodiff.
fn averaged<M: Module>(state: &State<M>) -> M {
    let model = state.model.valid();
    match &state.ema {
        Some(ema) => ema.apply(model),
        None => model,
    }
}

/// Refuses weights, or averages of them, that are not finite.
fn check_finite<M: Module>(state: &State<M>) -> Result<()> {
    let weights = parameters(&state.model).into_iter().map(|parameter| (parameter.name, parameter.values));
    let averages =
        state.ema.iter().flat_map(|ema| &ema.values).map(|(name, values)| (name.clone(), values.clone()));
    let (names, faults): (Vec<_>, Vec<_>) = weights
        .chain(averages)
        .map(|(name, values)| (name, values.is_finite().bool_not().int().sum()))
        .unzip();
    if faults.is_empty() {
        return Ok(());
    }
    let faults = Tensor::cat(faults, 0).into_data();
    match names.iter().zip(faults.iter::<i64>()).find(|&(_, count)| count != 0) {
        Some((name, _)) => Err(Error::NotFinite { step: state.step, what: format!("the weight `{name}`") }),
        None => Ok(()),
    }
}

fn minutes_of(minutes: f64) -> Duration {
    Duration::try_from_secs_f64(minutes.max(0.0) * 60.0).unwrap_or(Duration::MAX)
}

fn words(numbers: &[(String, f64)]) -> String {
    numbers.iter().map(|(name, value)| format!("{name} {value:.3}")).collect::<Vec<_>>().join("  ")
}

/// The log of short evaluations, opened at the first one, when its columns are known.
struct Evaluations {
    log: Option<Log>,
    done: u64,
}

impl Evaluations {
    fn row(&mut self, out: &Path, step: u64, numbers: &[(String, f64)]) -> Result<()> {
        let values: Vec<f64> = numbers.iter().map(|(_, value)| *value).collect();
        let log = match &mut self.log {
            Some(log) => log,
            none => {
                let columns: Vec<String> = numbers.iter().map(|(name, _)| name.clone()).collect();
                none.insert(Log::open(&out.join("evaluation.csv"), &columns, self.done)?)
            }
        };
        log.row(step, &values)
    }
}

#[cfg(test)]
mod tests;
