//! `nextscale report DIR`: rewrites the report of an ablation from what is on disk.

use std::path::PathBuf;

use crate::ablation::Store;
use crate::ablation::judge::Judges;
use crate::ablation::report;
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
}

/// Reads the folder, and writes the report.
pub fn run(args: Args, judges: &Judges) -> Result<(), Failure> {
    let store = Store::open_existing(&args.dir)?;
    write(&store, judges, DeviceChoice::Cpu)
}

/// Writes the report, and prints where it is.
pub fn write(store: &Store, judges: &Judges, device: DeviceChoice) -> Result<(), Failure> {
    let device = device.open()?;
    let bar = progress::bar("cells judged");
    let show = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let report = report::build(store, judges, &device, show)?;
    report.write(store)?;
    bar.finish_and_clear();
    say!("{}", store.root().join("report.html").display());
    say::out(format_args!("{}", report.summary()));
    Ok(())
}
