//! nextscale compared with eager PyTorch, on the same weights, alternating run by run: `cargo bench --bench
//! vs_torch -- --python PYTHON`, with a Python that has torch and numpy.
//!
//! Each side is a separate process that has loaded its weights and waits (`serve.rs`, `peer.py`), so that its
//! memory is its own and other load on the machine affects both.

mod arguments;
mod machine;
mod protocol;
mod serve;
mod side;
mod table;
mod weights;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Parser, ValueEnum};
use nextscale::core::Dtype;
use nextscale::pipeline::device::{self, DeviceChoice};
use serde::Deserialize;

use arguments::{positive, skipped};
use machine::Machine;
use protocol::{Answer, Ready};
use side::{Side, understand};
use table::{Measured, Table};
use weights::{Family, Files};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/vs_torch/peer.py");

/// Race nextscale against eager PyTorch on the CPU and print a Markdown table
#[derive(Debug, Parser)]
#[command(name = "vs_torch")]
struct Args {
    /// A Python that has torch and numpy
    #[arg(long, value_name = "PROGRAM")]
    python: PathBuf,
    /// The race: VAR, or Infinity-125M or HART-0.7B at 256 × 256 from texts that are already encoded
    #[arg(long, value_name = "NAME", default_value = "var")]
    model: Name,
    /// The depth of VAR's transformer
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = positive())]
    depth: usize,
    /// Measured runs of every guidance on each side, after one warm-up run
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = positive())]
    runs: usize,
    /// Threads per side
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = positive())]
    threads: usize,
    /// Images at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive())]
    batch: usize,
    /// A folder with vae_ch160v4096z32.safetensors and var_dDEPTH.safetensors, or with texts.safetensors and
    /// either infinity_vae_d16.safetensors and infinity_125m.safetensors or hart_tokenizer.safetensors and
    /// hart_0.7b.safetensors; missing files are created with random weights [default: a folder in target/tmp]
    #[arg(long, value_name = "FOLDER")]
    weights: Option<PathBuf>,
    /// The type of both sides' arithmetic: of nextscale's linear layers, and of everything in PyTorch
    #[arg(long, value_name = "TYPE", default_value_t)]
    dtype: Dtype,
    /// Where nextscale computes: cpu, or tch:cpu, which is the LibTorch that it was built with. PyTorch computes on the CPU
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: DeviceChoice,
    /// Run as nextscale's side
    #[arg(long, hide = true)]
    serve: bool,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    Var,
    Infinity,
    Hart,
}

impl Args {
    fn family(&self) -> Family {
        match self.model {
            Name::Var => Family::Var(self.depth),
            Name::Infinity => Family::Infinity,
            Name::Hart => Family::Hart,
        }
    }

    fn files(&self) -> Files {
        let name = match self.family() {
            Family::Var(depth) => format!("vs_torch-d{depth}"),
            Family::Infinity => "vs_torch-infinity".into(),
            Family::Hart => "vs_torch-hart".into(),
        };
        let made = || Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        Files::of(&self.weights.clone().unwrap_or_else(made), self.family())
    }
}

fn main() -> ExitCode {
    // As in nextscale's own main.
    nextscale::kernels::allocator::tune();
    if skipped("vs_torch") {
        return ExitCode::SUCCESS;
    }
    let args = Args::parse();
    let done = if args.serve { serve::serve(&args, &args.files()) } else { race(&args) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vs_torch: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The peer's Python.
#[derive(Debug, Deserialize)]
struct Versions {
    torch: String,
    python: String,
    imported_bytes: Option<u64>,
}

fn versions(python: &Path) -> Result<Versions> {
    let remedy = "give a Python that has torch and numpy: --python PROGRAM";
    let output = Command::new(python)
        .args([PEER, "versions"])
        .output()
        .map_err(|error| format!("cannot run {}: {error}; {remedy}", python.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let Some(line) = said.lines().next() else {
        let error = String::from_utf8_lossy(&output.stderr);
        let last = error.lines().last().unwrap_or("it said nothing");
        return Err(format!("{} ended with {}: {last}; {remedy}", python.display(), output.status).into());
    };
    understand("PyTorch", line).map_err(|error| format!("{error}; {remedy}").into())
}

fn race(args: &Args) -> Result<()> {
    let machine = Machine::look();
    if machine.busy() {
        eprintln!(
            "the load average is {}: wait until the machine is idle. PyTorch's threads wait for each other at every operation, \
             so that what else runs costs it more than nextscale, and the ratios flatter nextscale",
            machine.load
        );
    }
    let versions = versions(&args.python)?;
    let route = device::route(&args.device.open()?);
    let files = args.files();
    if args.model != Name::Var && args.dtype != Dtype::F32 {
        return Err("the peers of Infinity and HART compute in f32; leave --dtype out".into());
    }
    files.make_missing()?;
    files.warm()?;

    let [depth, threads, batch] = [args.depth, args.threads, args.batch].map(|number| number.to_string());
    let dtype = args.dtype.to_string();
    let mut ours = Command::new(std::env::current_exe()?);
    // Its own threads, and LibTorch's.
    ours.env("RAYON_NUM_THREADS", &threads).env("OMP_NUM_THREADS", &threads);
    ours.args(["--serve", "--python"]).arg(&args.python).args(["--device", &args.device.to_string()]);
    ours.args([
        "--model",
        match args.model {
            Name::Var => "var",
            Name::Infinity => "infinity",
            Name::Hart => "hart",
        },
    ]);
    ours.args(["--depth", &depth, "--threads", &threads, "--batch", &batch, "--dtype", &dtype]);
    if let Some(folder) = &args.weights {
        ours.arg("--weights").arg(folder);
    }
    let mut theirs = Command::new(&args.python);
    theirs.env("OMP_NUM_THREADS", &threads).args([PEER, "serve"]).arg(&files.backbone).arg(&files.tokenizer);
    theirs.args(["--threads", &threads, "--batch", &batch, "--dtype", &dtype]);
    if let Some(text) = &files.text {
        theirs.arg("--text").arg(text);
    }

    eprintln!("loading both sides");
    let mut sides: [Side<Ready>; 2] = [Side::start("nextscale", ours)?, Side::start("PyTorch", theirs)?];
    let mut measured = sides.each_ref().map(|side| Measured {
        load_seconds: side.ready.load_seconds,
        start_seconds: side.start_seconds,
        ..Measured::default()
    });
    // Run 0 is the warm-up. Sides alternate batch by batch, and guidances go forward and backward.
    for run in 0..=args.runs {
        let mut order = ["cfg", "cfg+ssg", "ssg"];
        if run % 2 == 1 {
            order.reverse();
        }
        for guidance in order {
            eprint!("run {run} of {}, {guidance}:", args.runs);
            for (side, measured) in sides.iter_mut().zip(&mut measured) {
                let Answer { seconds, peak_bytes } = side.ask(&format!("{guidance} {run}"))?;
                eprint!(" {} {:.2} s", side.name(), seconds.total);
                measured.peak_bytes = peak_bytes;
                let runs = match guidance {
                    "cfg" => &mut measured.cfg,
                    "ssg" => &mut measured.ssg,
                    _ => &mut measured.cfg_ssg,
                };
                if run > 0 {
                    runs.push(seconds);
                }
            }
            eprintln!();
        }
    }

    println!("- {}, {} cores; load averages at the start {}", machine.processor, machine.cores, machine.load);
    println!(
        "- {}; batch {batch}, {threads} threads a side; {} of each guidance in turns, after one to warm up",
        match args.family() {
            Family::Var(depth) => format!("VAR-d{depth}, top-k 900, top-p 0.96"),
            Family::Infinity => "Infinity-125M at 0.06M without the text encoder, τ 0.5, top-p 0.97".into(),
            Family::Hart => {
                "HART-0.7B at 256 × 256 without the text encoder, 8 steps, top-k 900, top-p 0.96".into()
            }
        },
        if args.runs == 1 { "1 run".into() } else { format!("{} runs", args.runs) }
    );
    let unoptimised = if cfg!(debug_assertions) { " without the optimisation of a release" } else { "" };
    let imported = versions.imported_bytes.map_or(String::new(), |bytes| {
        format!("; importing it takes {:.2} GB of its memory", bytes as f64 / 1e9)
    });
    println!(
        "- nextscale {}{unoptimised}, {}, route: {}; PyTorch {}, {}, on Python {}{imported}\n",
        env!("CARGO_PKG_VERSION"),
        args.dtype,
        route,
        versions.torch,
        args.dtype,
        versions.python
    );
    let [ours, theirs] = measured;
    print!("{}", Table { ours, theirs });
    Ok(())
}
