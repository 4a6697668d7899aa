//! The `nextscale` command as a function, so that your own program has every command, with its rules, priors
//! and samplers in them.
//!
//! `src/main.rs` is such a program; `examples/disagreement_rule.rs` has its own rule:
//!
//! ```no_run
//! use nextscale::pipeline::Registry;
//!
//! fn main() -> std::process::ExitCode {
//!     nextscale::cli::main(Registry::standard())
//! }
//! ```

mod ablate;
mod bench;
mod calibrate;
mod completions;
mod config_file;
mod curves;
mod data;
mod device;
mod devices;
mod evaluate;
mod export;
mod failure;
mod generate;
mod init;
mod inspect;
mod interrupt;
mod judge;
mod list;
mod man;
mod merge;
#[cfg(feature = "hub")]
mod models;
mod neighbours;
mod new_folder;
mod overrides;
mod place;
mod probe;
mod recognise;
mod reconstruct;
mod report;
mod say;
mod schema;
mod selfcheck;
mod shards;
mod train;
mod trainings;
mod validate;

use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use miette::MietteHandlerOpts;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::ablation::judge::Judges;
use crate::core::Dtype;
use crate::pipeline::device::DeviceChoice;
use crate::pipeline::{Registry, progress};

use failure::Failure;

pub use trainings::Trainings;

/// Guidance of next-scale image generators: generate, measure, compare, train.
#[derive(Debug, Parser)]
#[command(name = "nextscale", version, max_term_width = 100)]
struct Cli {
    /// Show no progress: neither a bar on a terminal nor a line every half minute elsewhere
    #[arg(long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Generate(generate::Args),
    Merge(merge::Args),
    Evaluate(evaluate::Args),
    Probe(probe::Args),
    Neighbours(neighbours::Args),
    Ablate(ablate::Args),
    Report(report::Args),
    Validate(validate::Args),
    Export(export::Args),
    Calibrate(calibrate::Args),
    Reconstruct(reconstruct::Args),
    Init(init::Args),
    Train(train::Args),
    Curves(curves::Args),
    Inspect(inspect::Args),
    List(list::Args),
    #[cfg(feature = "hub")]
    Models(models::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    Man(man::Args),
    Bench(bench::Args),
    Devices(devices::Args),
    Selfcheck(selfcheck::Args),
}

impl Command {
    /// Whether tensors are computed, so that the build's profile matters.
    fn computes(&self) -> bool {
        #[cfg(feature = "hub")]
        if let Self::Models(_) = self {
            return false;
        }
        !matches!(
            self,
            Self::Init(_)
                | Self::Curves(_)
                | Self::Inspect(_)
                | Self::List(_)
                | Self::Schema(_)
                | Self::Completions(_)
                | Self::Man(_)
                | Self::Merge(_)
                | Self::Export(_)
                | Self::Devices(_)
        )
    }

    /// Where the command computes, and in which type it generates, unless it is `selfcheck`, which is there to find out
    /// about a device.
    fn device(&self) -> Option<(DeviceChoice, Dtype)> {
        let arguments = match self {
            Self::Generate(args) => &args.device,
            Self::Evaluate(args) => &args.device,
            Self::Probe(args) => args.device(),
            Self::Neighbours(args) => &args.device,
            Self::Ablate(args) => &args.device,
            Self::Validate(args) => &args.device,
            Self::Calibrate(args) => &args.device,
            Self::Reconstruct(args) => &args.device,
            Self::Train(args) => &args.device,
            Self::Bench(args) => &args.device,
            _ => return None,
        };
        let dtype = match self {
            Self::Generate(args) => args.dtype.dtype,
            Self::Bench(args) => args.dtype.dtype,
            _ => Dtype::F32,
        };
        Some((arguments.device, dtype))
    }
}

/// For a program's `main`: runs the process's own command line, with the names of `registry` in every config.
///
/// Call it first, before any threads exist: it configures the allocator.
pub fn main(registry: Registry) -> ExitCode {
    Program::new(registry).main()
}

/// The commands, and the names that configs, ablation files and `nextscale train` accept.
#[derive(Clone)]
pub struct Program {
    registry: Registry,
    judges: Judges,
    trainings: Trainings,
}

impl Program {
    /// With these names for configs, the measures of nextscale for ablations, and its trainings for
    /// `nextscale train`.
    pub fn new(registry: Registry) -> Self {
        Self { registry, judges: Judges::standard(), trainings: Trainings::standard() }
    }

    /// The same with these measures in ablations.
    #[must_use]
    pub fn with_judges(self, judges: Judges) -> Self {
        Self { judges, ..self }
    }

    /// The same with these trainings in `nextscale train`.
    #[must_use]
    pub fn with_trainings(self, trainings: Trainings) -> Self {
        Self { trainings, ..self }
    }

    /// As [`main`].
    pub fn main(&self) -> ExitCode {
        // Before any thread exists; otherwise large tensors would fault in fresh pages at every step.
        crate::kernels::allocator::tune();
        // Commands that can be resumed replace this. Without it a signal only leaves lock files behind.
        let _ = interrupt::end_on_interrupt();
        self.run(std::env::args_os())
    }

    /// Runs one command line, whose first word is the program's name. Exit code 0 is success, 1 a failed run,
    /// 2 wrong usage, 130 an interrupted run, and 75 a worker that should be started again, because its launcher
    /// stopped it or other workers' part of the work is missing.
    pub fn run(&self, arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
        let cli = match self.parse(arguments) {
            Ok(cli) => cli,
            // Also help and version.
            Err(told) => {
                let code = told.exit_code() as u8;
                return match (told.print(), code) {
                    (Err(error), 0) if error.kind() != ErrorKind::BrokenPipe => {
                        say::note(format_args!("the output cannot be written: {error}"));
                        ExitCode::FAILURE
                    }
                    _ => ExitCode::from(code),
                };
            }
        };
        unwrap_where_no_one_reads_columns();
        log_where_asked();
        if cli.quiet {
            progress::be_quiet();
        }
        if !crate::kernels::is_optimised() && cli.command.computes() {
            let _ = writeln!(
                std::io::stderr(),
                "warning: built without optimisation, which is about a hundred times slower; a dependency's profile is not inherited: \
                 use --release, or copy the profile that `nextscale init --crate` writes"
            );
        }
        if let Some(remark) = cli.command.device().and_then(|(device, dtype)| device.remark(dtype)) {
            let _ = writeln!(std::io::stderr(), "device: {remark}");
        }
        match self.command(cli.command) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                // The reader of standard error may be gone; the exit code still tells.
                let _ = writeln!(std::io::stderr(), "{:?}", failure.report());
                failure.code()
            }
        }
    }

    fn parse(
        &self,
        arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    ) -> clap::error::Result<Cli> {
        let mut command = self.form();
        let mut matches = command.try_get_matches_from_mut(arguments)?;
        Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
    }

    /// The grammar of all command lines.
    fn form(&self) -> clap::Command {
        let what = |argument: clap::Arg| argument.value_parser(self.trainings.parser());
        Cli::command().mut_subcommand("train", |train| train.mut_arg("what", what))
    }

    /// The same under the process's name, which shells complete and readers look up.
    fn named_form(&self) -> clap::Command {
        let process = std::env::args_os().next().map(PathBuf::from);
        let stem = process.as_deref().and_then(Path::file_stem).and_then(OsStr::to_str);
        let name = stem.unwrap_or("nextscale");
        self.form().bin_name(name).display_name(name)
    }

    fn command(&self, command: Command) -> Result<(), Failure> {
        let Self { registry, judges, trainings } = self;
        match command {
            Command::Generate(args) => generate::run(args, registry),
            Command::Evaluate(args) => evaluate::run(args),
            Command::Merge(args) => merge::run(args, registry, judges),
            Command::Probe(args) => probe::run(args),
            Command::Neighbours(args) => neighbours::run(args),
            Command::Ablate(args) => ablate::run(args, registry, judges),
            Command::Report(args) => report::run(args, judges),
            Command::Validate(args) => validate::run(args, registry, judges),
            Command::Export(args) => export::run(args),
            Command::Calibrate(args) => calibrate::run(args, registry),
            Command::Reconstruct(args) => reconstruct::run(args, registry),
            Command::Init(args) => init::run(args, registry),
            Command::Train(args) => train::run(args, registry, trainings),
            Command::Curves(args) => curves::run(args),
            Command::Inspect(args) => inspect::run(args, registry),
            Command::List(args) => list::run(args, registry),
            #[cfg(feature = "hub")]
            Command::Models(args) => models::run(args, registry),
            Command::Schema(args) => schema::run(args, registry),
            Command::Completions(args) => completions::run(args, self.named_form()),
            Command::Man(args) => man::run(args, self.named_form()),
            Command::Bench(args) => bench::run(args, registry),
            Command::Devices(args) => devices::run(args),
            Command::Selfcheck(args) => selfcheck::run(args),
        }
    }
}

/// The libraries' log, to standard error, at the level of RUST_LOG: a level, or
/// `nextscale_pipeline=debug,info`.
fn log_where_asked() {
    let Ok(asked) = std::env::var("RUST_LOG") else { return };
    match asked.parse::<Targets>() {
        Ok(targets) => {
            let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
            // Fails only if the program has its own log already, which then stays.
            let _ = tracing_subscriber::registry().with(lines).with(targets).try_init();
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "RUST_LOG={asked} is not understood: {error}");
        }
    }
}

/// Failures are wrapped to a terminal's width, but not in files or pipes, where wrapping would break paths.
fn unwrap_where_no_one_reads_columns() {
    if !std::io::stderr().is_terminal() {
        // Fails only if a hook is set already, which then stays.
        let _ = miette::set_hook(Box::new(|_| Box::new(MietteHandlerOpts::new().wrap_lines(false).build())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::config::TrainClassifier;
    use crate::train::train_classifier;

    #[test]
    fn trainings_of_another_crate_are_listed_and_a_slip_is_told() {
        let trainings =
            Trainings::standard().with("sketch", "A toy", |config: TrainClassifier, _, options, device| {
                train_classifier(&config, options, device)
            });
        let program = Program::new(Registry::standard()).with_trainings(trainings);
        let told = |what: &str| program.parse(["nextscale", "train", what, "x.ron"]).unwrap_err();
        let slip = told("skech");
        assert_eq!(slip.exit_code(), 2);
        let slip = slip.to_string();
        assert!(slip.contains("a similar value exists: 'sketch'"), "{slip}");
        assert!(slip.contains("[possible values: classifier, tokenizer, backbone, sketch]"), "{slip}");
        let help = told("--help").to_string();
        assert!(help.contains("- sketch:     A toy"), "{help}");
        assert!(program.parse(["nextscale", "train", "sketch", "x.ron"]).is_ok());
        let standard = Program::new(Registry::standard());
        assert!(standard.parse(["nextscale", "train", "sketch", "x.ron"]).is_err());
    }
}
