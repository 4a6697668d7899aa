//! `nextscale selfcheck`: this program's numbers compared with upstream's, on a device.

use std::path::PathBuf;

use crate::parity::{self, Fixtures, Line, Setting, Tolerances};

use super::Failure;
use super::device::DeviceArgs;
use super::say::say;

/// Compare this program's numbers on a device with those of the models' original code
///
/// The program contains tiny models with random weights, and the numbers that the original PyTorch code
/// computes from them. Each line has what was compared, the largest difference and the tolerance.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    device: DeviceArgs,
    /// Use VAR's files in this folder instead of the built-in ones, with the layout of tests/fixtures/var
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
}

/// Prints one line per group; a failed one is a failure of the command, after all of them.
pub fn run(args: Args) -> Result<(), Failure> {
    let device = args.device.device.open()?;
    let fixtures = args.fixtures.map_or_else(Fixtures::compiled_in, Fixtures::in_folder);
    let setting = Setting { fixtures: &fixtures, device: &device, tolerances: Tolerances::of(&device) };
    say!(
        "on {}, against the numbers of upstream's code (PyTorch, CPU, float32)",
        args.device.device.decide()
    );
    let lines = parity::run(&setting, |line| say!("{line}"));
    let failed = lines.iter().filter(|line| !line.is_ok()).count();
    if failed > 0 {
        return Err(Failure::Run(miette::miette!(
            "{failed} of {} comparisons FAILED: images of this device are not upstream's",
            lines.len()
        )));
    }
    let values: usize = lines.iter().filter_map(compared).sum();
    say!("all {} comparisons are ok, {values} values", lines.len());
    Ok(())
}

fn compared(line: &Line) -> Option<usize> {
    line.gap.as_ref().ok().map(|gap| gap.values)
}
