//! `nextscale report DIR`: rewrites the report of an ablation from what is on disk.

use std::path::PathBuf;

use crate::ablation::Store;
use crate::ablation::judge::Judges;
use crate::ablation::report::{self, Scatters};
use crate::pipeline::device::DeviceChoice;

use super::Failure;
use super::say;
use super::say::say;
use crate::pipeline::progress;

/// Rewrite the report of an ablation from its folder, without the model
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of an ablation
    dir: PathBuf,
    #[command(flatten)]
    scatter: ScatterArgs,
}

/// The measures that a report plots against each other.
#[derive(Debug, clap::Args)]
pub struct ScatterArgs {
    /// Plot two measures against each other, by their names, like 'FD-Lite0,Probe accuracy-Lite0'; can be
    /// repeated
    #[arg(long, value_name = "X,Y")]
    scatter: Vec<String>,
    /// Join the points of a scatter along this axis, by its path or its last part [default: each variant's
    /// first axis]
    #[arg(long, value_name = "PATH")]
    along: Option<String>,
}

impl ScatterArgs {
    /// The requested plots.
    pub fn scatters(&self) -> Result<Scatters, Failure> {
        let pair = |text: &String| match text.split_once(',') {
            Some((x, y)) if !x.trim().is_empty() && !y.trim().is_empty() => {
                Ok((x.trim().into(), y.trim().into()))
            }
            _ => Err(Failure::Usage(miette::miette!(
                help = "write --scatter 'FD-Lite0,Probe accuracy-Lite0'",
                "--scatter takes two measures with a comma between them, not `{text}`"
            ))),
        };
        let pairs = self.scatter.iter().map(pair).collect::<Result<_, Failure>>()?;
        Ok(Scatters { pairs, along: self.along.clone() })
    }
}

/// Reads the folder, and writes the report.
pub fn run(args: Args, judges: &Judges) -> Result<(), Failure> {
    let store = Store::open_existing(&args.dir)?;
    write(&store, judges, DeviceChoice::Cpu, &args.scatter.scatters()?)
}

/// Writes the report, and prints where it is.
pub fn write(
    store: &Store,
    judges: &Judges,
    device: DeviceChoice,
    scatters: &Scatters,
) -> Result<(), Failure> {
    let device = device.open()?;
    let bar = progress::bar("cells judged");
    let show = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let mut report = report::build(store, judges, &device, show)?;
    report.set_scatters(scatters)?;
    report.write(store)?;
    bar.finish_and_clear();
    say!("{}", store.root().join("report.html").display());
    say::out(format_args!("{}", report.summary()));
    for sentence in report.sentences() {
        say!("{sentence}");
    }
    Ok(())
}
