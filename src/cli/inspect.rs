//! `nextscale inspect FILE`: what a checkpoint is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::backbones::var::VarConfig;
use crate::tokenizers::vq::VqvaeConfig;
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
pub fn run(args: Args) -> Result<(), Failure> {
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
    let verdict = verdict(&file);
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

/// What model it is in words, every tensor's name and shape having been checked; or why it is none.
fn verdict(file: &WeightFile) -> Result<String, String> {
    let has = |marker: &str| file.rooted(marker).is_ok_and(|file| file.info(marker).is_some());
    if has("pos_1LC") {
        let config = VarConfig::infer(file, None).map_err(|error| error.to_string())?;
        let rooted = file.rooted("pos_1LC").map_err(|error| error.to_string())?;
        config.expected().check(&rooted).map_err(|error| error.to_string())?;
        Ok(format!(
            "A VAR transformer that can be used: depth {}, width {}, {} heads, {:?} AdaLN, {} classes, {} codes of {} \
             channels, scales {}",
            config.depth,
            config.width,
            config.heads,
            config.ada_ln,
            config.classes,
            config.vocabulary,
            config.feature_channels,
            config.schedule
        ))
    } else if has("quantize.embedding.weight") {
        let config = VqvaeConfig::infer(file, None).map_err(|error| error.to_string())?;
        Ok(format!(
            "A multi-scale VQ tokenizer that can be used: {} channels times {:?}, {} codes of {} channels, {} pixels a \
             latent, norms in {} groups",
            config.channels,
            config.multipliers,
            config.vocabulary,
            config.latent_channels,
            config.reduction(),
            config.norm_groups
        ))
    } else {
        Err(format!(
            "{} is no model that can be used here: neither VAR's transformer (it would have `pos_1LC`) nor its tokenizer \
             (`quantize.embedding.weight`)",
            file.label()
        ))
    }
}
