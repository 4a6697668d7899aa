//! `nextscale inspect FILE`: what a checkpoint is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::pipeline::Registry;
use crate::weights::WeightFile;

use super::Failure;

/// Say what a checkpoint is, which tensors it has, and whether it can be used
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A .pth or .safetensors file
    file: PathBuf,
    /// List every tensor
    #[arg(long)]
    tensors: bool,
}

/// Prints it; a file that no model here can use is a failure, after what it holds has been printed.
pub fn run(args: Args, registry: &Registry) -> Result<(), Failure> {
    let file = WeightFile::open(&args.file).map_err(|error| Failure::Run(miette::miette!("{error}")))?;
    let names: Vec<&str> = file.names().collect();
    let megabytes = file.byte_len() as f64 / 1e6;
    println!("{}: {} tensors, {megabytes:.1} MB, {}", args.file.display(), names.len(), types(&file));
    if !file.prefix().is_empty() {
        println!("  found under `{}`", file.prefix().trim_end_matches('.'));
    }
    for (key, value) in file.metadata() {
        println!("  {key}: {}", value.replace('\n', ", "));
    }
    let verdict = registry.recognise(&file);
    if let Ok(words) = &verdict {
        println!("{words}");
    }
    if args.tensors {
        for name in names {
            if let Some(info) = file.info(name) {
                println!("  {name}  {:?}  {}", info.shape, info.dtype);
            }
        }
    }
    verdict.map(|_| ()).map_err(|message| Failure::Run(miette::miette!("{message}")))
}

/// How many tensors are stored as what.
fn types(file: &WeightFile) -> String {
    let mut counts = BTreeMap::new();
    for info in file.names().filter_map(|name| file.info(name)) {
        *counts.entry(info.dtype.to_string()).or_insert(0) += 1;
    }
    counts.iter().map(|(stored, count)| format!("{count} {stored}")).collect::<Vec<_>>().join(", ")
}
