//! `nextscale completions SHELL`: what a shell needs to complete a command line.

use clap_complete::{Shell, generate};

use super::Failure;
use super::say;

/// Print a shell's completion script
///
/// It completes commands, options and their fixed values. For bash:
/// nextscale completions bash > ~/.local/share/bash-completion/completions/nextscale
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script for the program's own name.
pub fn run(args: Args, mut command: clap::Command) -> Result<(), Failure> {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut script = Vec::new();
    generate(args.shell, &mut command, name, &mut script);
    say::product(format_args!("{}", String::from_utf8_lossy(&script)))
}
