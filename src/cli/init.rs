//! `nextscale init`: a commented config to start from.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use crate::config::settings::{Entry, Kind};
use crate::pipeline::Registry;

use super::Failure;

const TEMPLATE: &str = include_str!("../../configs/template.ron");

/// Write a commented config to start from
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to write
    #[arg(default_value = "nextscale.ron")]
    file: PathBuf,
}

/// Writes the template and what else may stand in it, unless something is there already.
pub fn run(args: Args, registry: &Registry) -> Result<(), Failure> {
    let path = args.file.display();
    // A config that somebody has edited is never written over.
    let mut file = OpenOptions::new().write(true).create_new(true).open(&args.file).map_err(|error| {
        if error.kind() == ErrorKind::AlreadyExists {
            Failure::Usage(miette::miette!("{path} is there already; name another file, or remove it"))
        } else {
            Failure::Run(miette::miette!("cannot create {path}: {error}"))
        }
    })?;
    if let Err(error) = file.write_all(text(registry).as_bytes()) {
        let _ = std::fs::remove_file(&args.file);
        return Err(Failure::Run(miette::miette!("cannot write {path}: {error}")));
    }
    println!("wrote {path}; run it with: nextscale generate {path}");
    Ok(())
}

/// The template, and below it as comments every model, rule, prior and sampler with nothing but what must be given.
fn text(registry: &Registry) -> String {
    let mut text = String::from(TEMPLATE);
    things(&mut text, "Models", registry.models());
    things(&mut text, "Rules", registry.rules());
    things(&mut text, "Priors", registry.priors());
    things(&mut text, "Samplers", registry.samplers());
    text
}

fn things<K: Kind + ?Sized>(text: &mut String, title: &str, entries: &[Entry<K>]) {
    let _ = write!(text, "\n// {title}:\n");
    for entry in entries {
        let _ = writeln!(text, "//     {}: {}", entry.description.example, entry.description.phrase());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Document;

    #[test]
    fn what_is_written_is_a_config_with_every_name_in_it() {
        let registry = Registry::standard();
        let text = text(&registry);
        Document::parse("nextscale.ron", &text).unwrap();
        let models = registry.models().iter().map(|entry| entry.description.example);
        for example in registry.rules().iter().map(|entry| entry.description.example).chain(models) {
            assert!(text.contains(example), "{example} is not in {text}");
        }
    }
}
