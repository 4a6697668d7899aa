//! `nextscale selfcheck`: this program's numbers compared with upstream's, on a device.

use std::path::PathBuf;

use crate::parity::{self, Arithmetic, Fixtures, Line, Setting};
use crate::pipeline::device::{DeviceChoice, describe, named, verified};

use super::Failure;
use super::device::{DeviceArgs, DtypeArgs};
use super::say::say;

/// Compare this program's numbers on a device with those of the models' original code
///
/// The program contains tiny models with random weights, and the numbers that the original PyTorch code
/// computes from them. Each line has what was compared, the largest difference and the bound. When all are
/// within their bounds, the device is noted as verified in the type of --dtype, and other commands stop warning
/// about it.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    dtype: DtypeArgs,
    /// The precision to which the device rounds f32 inputs of matrix products; selects the bounds: f32, tf32 or bf16.
    /// Without it, f32 for the CPU, wgpu and tch:cpu, and tf32 for the others. What generation computes in the type of
    /// --dtype has that type's bounds if they are wider
    #[arg(long, value_name = "TYPE")]
    arithmetic: Option<Arithmetic>,
    /// Use VAR's files in this folder instead of the built-in ones, with the layout of tests/fixtures/var
    #[arg(long, value_name = "DIR")]
    fixtures: Option<PathBuf>,
}

/// Prints one line per group; a failed one is a failure of the command, after all of them.
pub fn run(args: Args) -> Result<(), Failure> {
    let (device, dtype) = (args.device.device.open()?, args.dtype.dtype);
    dtype.check(&device).map_err(crate::pipeline::Error::from)?;
    let built_in = args.fixtures.is_none();
    let fixtures = args.fixtures.map_or_else(Fixtures::compiled_in, Fixtures::in_folder);
    let arithmetic = args.arithmetic.unwrap_or_else(|| Arithmetic::of(&device));
    let setting = Setting { dtype, ..Setting::new(&fixtures, &device, arithmetic) };
    let decided = named(args.device.device.decide(), dtype);
    say!(
        "on {decided}, against the numbers of upstream's code (PyTorch, CPU, float32); bounds of {arithmetic}"
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
    if built_in && let DeviceChoice::Of(..) = args.device.device.decide() {
        let name = describe(&device).name.unwrap_or_default();
        match verified::file().map(|file| (verified::note(&file, &decided, &name), file)) {
            Some((Ok(()), file)) => say!("noted as verified in {}", file.display()),
            Some((Err(error), file)) => say!("could not be noted as verified in {}: {error}", file.display()),
            None => {}
        }
    }
    Ok(())
}

fn compared(line: &Line) -> Option<usize> {
    line.gap.as_ref().ok().map(|gap| gap.values)
}
