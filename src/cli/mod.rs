//! The command line: what is parsed, which command runs, how failures end.

mod device;
mod failure;
mod generate;
mod init;
mod inspect;
mod interrupt;
mod list;
mod overrides;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use failure::Failure;

/// Guidance of next-scale image generators: generate, compare, train.
#[derive(Debug, Parser)]
#[command(name = "nextscale", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Generate(generate::Args),
    Init(init::Args),
    Train(train::Args),
    Inspect(inspect::Args),
    List(list::Args),
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    // Errors of the command line itself exit with 2 in clap, as usage errors do here.
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Generate(args) => generate::run(args),
        Command::Init(args) => init::run(args),
        Command::Train(args) => train::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::List(args) => list::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{:?}", failure.report());
            failure.code()
        }
    }
}
