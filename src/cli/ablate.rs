//! `nextscale ablate FILE`: variants of guidance, measured on the same random numbers.

use std::path::{Path, PathBuf};

use crate::ablation::judge::Judges;
use crate::ablation::{self, Ablation, Options, Progress, Store};
use crate::pipeline::{Registry, Stop};

use super::device::DeviceArgs;
use super::interrupt::on_interrupt;
use super::overrides::Overrides;
use super::recognise::ConfigKind;
use super::{Failure, config_file, report};
use crate::pipeline::progress;

/// Compare variants of guidance on the same random numbers, with intervals and a report
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The ablation, a RON file
    file: PathBuf,
    /// Use the values of the file's `quick`, for a first look with few images; --set has priority
    #[arg(long)]
    quick: bool,
    /// The folder for images and reports [default: the file's name, followed by -quick with --quick]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Makes what is missing, and writes the report.
pub fn run(args: Args, registry: &Registry, judges: &Judges) -> Result<(), Failure> {
    let mut tree = config_file::read(&args.file, ConfigKind::Ablation)?;
    let name = args.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = args.file.parent().unwrap_or(Path::new("")).to_owned();
    if args.quick {
        Ablation::quicken(&mut tree)?;
    }
    args.overrides.apply(&mut tree)?;
    let ablation = Ablation::from_node(&tree, &folder, registry, judges)?;
    let out =
        args.out.unwrap_or_else(|| if args.quick { format!("{name}-quick") } else { name.clone() }.into());
    let store = Store::open(&out)?;
    let stop = Stop::new();
    on_interrupt({
        let stop = stop.clone();
        move || stop.request()
    })?;
    let bar = progress::bar("images");
    let mut show = |progress: &Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(progress.cell.clone());
    };
    let options = Options { device: args.device.device, stop, progress: &mut show };
    ablation::run(&name, &ablation, judges, &store, options)?;
    bar.finish_and_clear();
    report::write(&store, judges, args.device.device)
}
