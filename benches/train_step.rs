//! A training step of the shipped backbone, ours compared with eager PyTorch, alternating step by step:
//! `cargo bench --bench train_step -- --python PYTHON`, with a Python that has torch and numpy.

#[path = "vs_torch/arguments.rs"]
mod arguments;
#[path = "vs_torch/side.rs"]
mod side;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use clap::Parser;
use nextscale::backbones::var::{Initialisation, VarConfig};
use nextscale::burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale::core::ConditionRows;
use nextscale::kernels::cross_entropy;
use nextscale::priors::conformance::noise;
use nextscale::train::optimiser::{AdamWConfig, Groups, Optimiser, is_decayed};
use nextscale::weights::WeightFile;
use serde::Deserialize;

use arguments::{positive, skipped};
use side::Side;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/vs_torch/train.py");
const BACKBONE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/cifar10/backbone.safetensors");

/// Race a training step against eager PyTorch on the CPU and print a Markdown table
#[derive(Debug, Parser)]
#[command(name = "train_step")]
struct Args {
    /// A Python that has torch and numpy
    #[arg(long, value_name = "PROGRAM")]
    python: PathBuf,
    /// A backbone whose sizes are used, with AdaLN shared by the blocks [default: the shipped one]
    #[arg(long, value_name = "FILE")]
    backbone: Option<PathBuf>,
    /// Images per step
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = positive())]
    batch: usize,
    /// Measured steps of each side, after three warm-up steps
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = positive())]
    steps: usize,
    /// Threads per side
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = positive())]
    threads: usize,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Deserialize)]
struct Ready {
    torch: String,
}

#[derive(Debug, Deserialize)]
struct Step {
    seconds: f64,
    loss: f64,
}

fn main() -> ExitCode {
    nextscale::kernels::allocator::tune();
    if skipped("train_step") {
        return ExitCode::SUCCESS;
    }
    match race(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("train_step: {error}");
            ExitCode::FAILURE
        }
    }
}

fn race(args: &Args) -> Result<()> {
    let path = args.backbone.clone().unwrap_or_else(|| BACKBONE.into());
    // Our threads are rayon's, whose number is fixed at its first use.
    rayon::ThreadPoolBuilder::new().num_threads(args.threads).build_global()?;
    let [batch, threads] = [args.batch, args.threads].map(|number| number.to_string());
    let mut command = Command::new(&args.python);
    command.env("OMP_NUM_THREADS", &threads).arg(PEER).arg(&path);
    command.args(["--batch", &batch, "--threads", &threads]);
    let mut peer: Side<Ready> = Side::start("PyTorch", command)?;
    eprintln!("{} {} was ready after {:.1} s", peer.name(), peer.ready.torch, peer.start_seconds);

    let mut ours = ours(&path, args.batch)?;
    let mut seconds = [Vec::new(), Vec::new()];
    for step in 0..args.steps + 3 {
        let mine = ours()?;
        let theirs: Step = peer.ask("step")?;
        eprintln!(
            "step {step}: nextscale {:.3} s, loss {:.3}; PyTorch {:.3} s, loss {:.3}",
            mine.seconds, mine.loss, theirs.seconds, theirs.loss
        );
        if step >= 3 {
            seconds[0].push(mine.seconds);
            seconds[1].push(theirs.seconds);
        }
    }
    let [mine, theirs] = seconds.map(|mut seconds| {
        seconds.sort_by(f64::total_cmp);
        [seconds[0], seconds[seconds.len() / 2], seconds[seconds.len() - 1]]
    });
    let cell = |[least, median, most]: [f64; 3]| format!("{least:.3} / {median:.3} / {most:.3}");
    println!(
        "- batch {batch}, {threads} threads a side, {} steps in turns; PyTorch {}\n",
        args.steps, peer.ready.torch
    );
    println!("| work | nextscale, min / median / max | PyTorch, min / median / max | ratio of medians |");
    println!("|---|---|---|---|");
    println!("| training step | {} | {} | {:.2} |", cell(mine), cell(theirs), mine[1] / theirs[1]);
    Ok(())
}

/// A model of these sizes on random data. Every call is a step: loss, gradients, clipping, AdamW.
fn ours(path: &Path, batch: usize) -> Result<impl FnMut() -> Result<Step>> {
    let device = Device::flex();
    let config = VarConfig::infer(&WeightFile::open(path)?, None)?;
    let model = config.init(&Initialisation { seed: 0, gate: 1e-2 }, &device.clone().autodiff())?;
    let decayed =
        model.parameters().iter().filter(|p| is_decayed(&p.key, p.shape().len())).map(|p| p.id()).collect();
    let groups = Groups { decayed, ..Groups::default() };
    let mut optimiser = Optimiser::new(AdamWConfig::default(), None, groups);
    let (length, channels) = (config.schedule.positions(), config.feature_channels);
    let shape = [batch, length - config.schedule.grid(0).positions(), channels];
    let features = Tensor::<3>::from_data(TensorData::new(noise(1, shape.iter().product()), shape), &device);
    let tokens: Vec<i64> = (0..batch * length).map(|i| (i * i % config.vocabulary) as i64).collect();
    let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, [batch, length]), &device);
    let classes = model.config().classes;
    let conditions = ConditionRows::Classes((0..batch).map(|i| Some(i % classes)).collect());
    let mut model = Some(model);
    Ok(move || {
        let begin = Instant::now();
        let before = model.take().ok_or("a step failed before")?;
        let logits = before.logits(features.clone().autodiff(), &conditions)?;
        let losses = cross_entropy(logits.flatten(0, 1), tokens.clone().flatten(0, 1));
        let values: Vec<f32> = losses.clone().inner().into_data().iter::<f32>().collect();
        let loss = values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
        let gradients = losses.mean().backward();
        model = Some(optimiser.step(before, gradients, 1e-4).0);
        Ok(Step { seconds: begin.elapsed().as_secs_f64(), loss })
    })
}
