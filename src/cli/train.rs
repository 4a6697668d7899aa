//! `nextscale train WHAT CONFIG`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::Document;
use crate::pipeline::Registry;
use crate::train::{Options, Outcome};

use super::Failure;
use super::device::DeviceArgs;
use super::interrupt::on_interrupt;
use super::overrides::Overrides;
use super::trainings::Trainings;

/// Train a tokenizer, a backbone on its tokens, or a classifier for a perceptual loss
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to train
    // Places are said: this argument is given the program's names later, which puts it behind the others.
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
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<f64>,
    /// Use this seed instead of the config's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Trains, and says where the results are.
pub fn run(args: Args, registry: &Registry, trainings: &Trainings) -> Result<(), Failure> {
    let mut tree = Document::read(&args.config).map_err(Failure::usage)?;
    args.overrides.apply(&mut tree)?;
    if let Some(seed) = args.seed {
        tree.assign(&format!("seed={seed}")).map_err(Failure::usage)?;
    }
    let base = args.config.parent().unwrap_or(Path::new("")).to_owned();
    let name = args.config.file_stem().unwrap_or_default();
    let out = args.out.unwrap_or_else(|| Path::new("runs").join(name));
    let device = args.device.device.open().map_err(|error| Failure::Usage(miette::miette!("{error}")))?;
    let stop = Arc::new(AtomicBool::new(false));
    let options = Options {
        resume: args.resume,
        max_minutes: args.minutes,
        stop: Arc::clone(&stop),
        ..Options::new(&out)
    };
    on_interrupt(move || stop.store(true, Ordering::Relaxed))?;
    report(&trainings.run(&args.what, registry, (&tree, &base), &options, &device)?, &out)
}

fn report(outcome: &Outcome, out: &Path) -> Result<(), Failure> {
    if !outcome.finished {
        return Err(Failure::Stopped(miette::miette!(
            help = "the same command with --resume goes on from the checkpoint",
            "stopped after {} steps; the checkpoint is in {}",
            outcome.step,
            out.display()
        )));
    }
    println!("trained {} steps; weights, log and samples are in {}", outcome.step, out.display());
    for (name, value) in &outcome.evaluation {
        println!("  {name:24} {value:.4}");
    }
    Ok(())
}
