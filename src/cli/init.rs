//! `nextscale init`: a commented config to start from.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use super::Failure;

const TEMPLATE: &str = include_str!("../../configs/template.ron");

/// Write a commented config to start from
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to write
    #[arg(default_value = "nextscale.ron")]
    file: PathBuf,
}

/// Writes the template, unless something is there already.
pub fn run(args: Args) -> Result<(), Failure> {
    let path = args.file.display();
    // A config that somebody has edited is never written over.
    let mut file = OpenOptions::new().write(true).create_new(true).open(&args.file).map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            Failure::Usage(miette::miette!("{path} is there already; name another file, or remove it"))
        } else {
            Failure::Run(miette::miette!("cannot create {path}: {error}"))
        }
    })?;
    if let Err(error) = file.write_all(TEMPLATE.as_bytes()) {
        let _ = std::fs::remove_file(&args.file);
        return Err(Failure::Run(miette::miette!("cannot write {path}: {error}")));
    }
    println!("wrote {path}; run it with: nextscale generate {path}");
    Ok(())
}
