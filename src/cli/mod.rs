//! The command line: what is parsed, which command runs, how failures end.

mod ablate;
mod bench;
mod calibrate;
mod curves;
mod data;
mod device;
mod evaluate;
mod failure;
mod generate;
mod init;
mod inspect;
mod interrupt;
mod list;
mod neighbours;
mod overrides;
mod probe;
mod progress;
mod reconstruct;
mod report;
mod selfcheck;
mod train;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use miette::MietteHandlerOpts;

pub use failure::Failure;

/// Guidance of next-scale image generators: generate, measure, compare, train.
#[derive(Debug, Parser)]
#[command(name = "nextscale", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Generate(generate::Args),
    Evaluate(evaluate::Args),
    Probe(probe::Args),
    Neighbours(neighbours::Args),
    Ablate(ablate::Args),
    Report(report::Args),
    Calibrate(calibrate::Args),
    Reconstruct(reconstruct::Args),
    Init(init::Args),
    Train(train::Args),
    Curves(curves::Args),
    Inspect(inspect::Args),
    List(list::Args),
    Bench(bench::Args),
    Selfcheck(selfcheck::Args),
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    // Errors of the command line itself exit with 2 in clap, as usage errors do here.
    let cli = Cli::parse();
    unwrap_where_no_one_reads_columns();
    let result = match cli.command {
        Command::Generate(args) => generate::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Probe(args) => probe::run(args),
        Command::Neighbours(args) => neighbours::run(args),
        Command::Ablate(args) => ablate::run(args),
        Command::Report(args) => report::run(args),
        Command::Calibrate(args) => calibrate::run(args),
        Command::Reconstruct(args) => reconstruct::run(args),
        Command::Init(args) => init::run(args),
        Command::Train(args) => train::run(args),
        Command::Curves(args) => curves::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::List(args) => list::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Selfcheck(args) => selfcheck::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{:?}", failure.report());
            failure.code()
        }
    }
}

/// Failures are wrapped to a terminal's width only: in a file or a pipe a path would be torn where its length says.
fn unwrap_where_no_one_reads_columns() {
    if !std::io::stderr().is_terminal() {
        // Fails only where a hook is set already, and then that one stands.
        let _ = miette::set_hook(Box::new(|_| Box::new(MietteHandlerOpts::new().wrap_lines(false).build())));
    }
}
