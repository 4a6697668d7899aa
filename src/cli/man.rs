//! `nextscale man`: the help of every command as man pages.

use std::path::{Path, PathBuf};

use clap_mangen::Man;

use crate::files::write_atomically;

use super::Failure;
use super::say::say;

/// Write man pages, one for the program and one for every command
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to write to, such as ~/.local/share/man/man1; created if missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes the pages.
pub fn run(args: Args, command: clap::Command) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::Run(miette::miette!("cannot write {}: {error}", path.display()))
    };
    std::fs::create_dir_all(&args.out).map_err(|error| failed(&args.out, error))?;
    // `help` would be another page for every command.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut count = 0;
    let mut left = vec![command];
    while let Some(command) = left.pop() {
        left.extend(command.get_subcommands().filter(|command| !command.is_hide_set()).cloned());
        let page = Man::new(command);
        let path = args.out.join(page.get_filename());
        let mut text = Vec::new();
        page.render(&mut text)
            .and_then(|()| write_atomically(&path, &text))
            .map_err(|error| failed(&path, error))?;
        count += 1;
    }
    say!("wrote {count} pages to {}", args.out.display());
    Ok(())
}
