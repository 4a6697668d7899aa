//! `nextscale train WHAT CONFIG`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::Node;
use crate::files::{Lock, LockError};
use crate::pipeline::{Registry, progress};
use crate::train::{Options, Outcome};

use super::device::DeviceArgs;
use super::interrupt::on_interrupt;
use super::overrides::{self, Overrides};
use super::recognise::ConfigKind;
use super::say::say;
use super::trainings::Trainings;
use super::{Failure, config_file, place};

/// Train a tokenizer, a backbone on its tokens, or a classifier for a perceptual loss or as a measure
#[derive(Debug, clap::Args)]
#[command(mut_arg("set", |set| set.help(overrides::OF_A_TRAINING)))]
pub struct Args {
    /// What to train
    // Explicit indices: this argument receives the program's names later, which would put it after the
    // others.
    #[arg(index = 1)]
    what: String,
    /// The training's config, a RON file; configs/train/ has some
    #[arg(index = 2)]
    config: PathBuf,
    /// The folder for weights, log, sample sheets and the checkpoint [default: runs/CONFIG'S NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Resume from the checkpoint in the folder
    #[arg(long)]
    resume: bool,
    /// Stop with a checkpoint after N minutes
    #[arg(long, value_name = "N")]
    minutes: Option<f64>,
    /// Use this seed instead of the config's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Trains, and prints where the results are.
pub fn run(args: Args, registry: &Registry, trainings: &Trainings) -> Result<(), Failure> {
    let mut tree = config_file::read(&args.config, ConfigKind::Training("model"))?;
    args.overrides.apply(&mut tree)?;
    if let Some(seed) = args.seed {
        tree.assign(&format!("seed={seed}")).map_err(Failure::usage)?;
    }
    let base = args.config.parent().unwrap_or(Path::new("")).to_owned();
    let name = args.config.file_stem().unwrap_or_default();
    let named_here = args.out.is_none();
    let out = place::folder(args.out.unwrap_or_else(|| Path::new("runs").join(name)))?;
    let device = args.device.device.open().map_err(|error| Failure::Usage(miette::miette!("{error}")))?;
    let stop = Arc::new(AtomicBool::new(false));
    let options = Options {
        resume: args.resume,
        max_minutes: args.minutes,
        stop: Arc::clone(&stop),
        quiet: progress::is_quiet(),
        ..Options::new(&out)
    };
    on_interrupt(move || stop.store(true, Ordering::Relaxed))?;
    let claimed = claim(&out)?;
    let trained = trainings.run(&args.what, registry, (&tree, &base), &options, &device);
    let trained =
        trained.map_err(|failure| match (failure, another_training(&tree, &args.what, &args.config)) {
            (Failure::Usage(_), Some(failure)) => failure,
            (failure, _) => failure.placed(&tree, &base),
        });
    drop(claimed);
    // Removes the folder if a wrong config has left it empty.
    if std::fs::remove_dir(&out).is_ok() && named_here {
        let _ = std::fs::remove_dir("runs");
    }
    report(&trained.map_err(|failure| failure.of_file(&args.config))?, &out)
}

/// That a config is of another training, by a field that only that one has.
fn another_training(tree: &Node, what: &str, config: &Path) -> Option<Failure> {
    let found = ConfigKind::of(tree)?;
    let ConfigKind::Training(of @ ("backbone" | "classifier")) = found else { return None };
    if what == of || !["tokenizer", "backbone", "classifier"].contains(&what) {
        return None;
    }
    Some(Failure::Usage(miette::miette!(
        help = format!("run it with: {}", found.command(config)),
        "{} is {found}, not of a {what}'s",
        config.display()
    )))
}

/// Locks the run's folder: two trainings in one would mix rows of the log and weights.
fn claim(out: &Path) -> Result<Lock, Failure> {
    std::fs::create_dir_all(out)
        .map_err(|error| Failure::Run(miette::miette!("cannot create {}: {error}", out.display())))?;
    Lock::inside(out).map_err(|error| match error {
        LockError::Held { .. } => Failure::Usage(miette::miette!(
            help = "choose another folder with --out",
            "{} is being written by another process",
            out.display()
        )),
        other => Failure::Run(miette::miette!("{other}")),
    })
}

fn report(outcome: &Outcome, out: &Path) -> Result<(), Failure> {
    if !outcome.finished {
        return Err(Failure::Stopped(miette::miette!(
            help = "repeat the command with --resume to continue from the checkpoint",
            "stopped after {} steps; the checkpoint is in {}",
            outcome.step,
            out.display()
        )));
    }
    say!("trained {} steps; weights, log and samples are in {}", outcome.step, out.display());
    for (name, value) in &outcome.evaluation {
        say!("  {name:24} {value:.4}");
    }
    Ok(())
}
