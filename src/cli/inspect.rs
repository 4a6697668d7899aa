//! `nextscale inspect FILE`: what a file or folder is, and which command takes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::files::FileKind;
use crate::pipeline::Registry;
use crate::weights::WeightFile;

use super::device::DtypeArgs;
use super::{Failure, recognise, say};

/// Say what a file or folder is and which command takes it; for a checkpoint, list its tensors
///
/// For a VAR transformer it also prints the memory of a GPU that generating takes, computed from its sizes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A .pth or .safetensors file, or anything else that nextscale reads or writes
    #[arg(required_unless_present = "random")]
    file: Option<PathBuf>,
    /// In place of a file, the memory that a model of these sizes takes: those of `nextscale bench --random`, as in 30
    #[arg(long, value_name = "SIZES", conflicts_with = "file")]
    random: Option<String>,
    /// The images of the batch whose memory is computed
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    #[command(flatten)]
    dtype: DtypeArgs,
    /// List every tensor
    #[arg(long)]
    tensors: bool,
}

/// Prints it. What no command can use is a failure, after its contents have been printed.
pub fn run(args: Args, registry: &Registry) -> Result<(), Failure> {
    let failed = |message: String| Failure::Run(miette::miette!("{message}"));
    let (batch, dtype) = (args.batch as usize, args.dtype.dtype);
    let Some(path) = args.file else {
        let sizes = args.random.unwrap_or_default();
        let model = registry.random(&sizes)?;
        let words = model.memory(batch, dtype);
        let words =
            words.unwrap_or_else(|| "The memory that this family takes of a GPU is not computed".into());
        return say::product(format_args!("{}\n{words}\n", model.describe()));
    };
    if path.is_dir() {
        let words = recognise::folder(&path).map_err(failed)?;
        return say::product(format_args!("{words}\n"));
    }
    if !path.exists()
        && let Some(words) = recognise::cell(&path)?
    {
        return say::product(format_args!("{words}\n"));
    }
    if !path.exists() {
        return Err(Failure::missing(&path));
    }
    let kind =
        FileKind::of(&path).map_err(|error| failed(format!("cannot read {}: {error}", path.display())))?;
    if matches!(kind, FileKind::Npz | FileKind::Text | FileKind::Image(_)) {
        let words = recognise::other(&path, kind).map_err(failed)?;
        return say::product(format_args!("{words}\n"));
    }
    let file = WeightFile::open(&path).map_err(|error| failed(error.to_string()))?;
    let names: Vec<&str> = file.names().collect();
    let megabytes = file.byte_len() as f64 / 1e6;
    let mut text =
        format!("{}: {} tensors, {megabytes:.1} MB, {}\n", path.display(), names.len(), types(&file));
    if !file.prefix().is_empty() {
        let _ = writeln!(text, "  found under `{}`", file.prefix().trim_end_matches('.'));
    }
    for (key, value) in file.metadata() {
        let _ = writeln!(text, "  {key}: {}", short(value));
    }
    let verdict = recognise::weights(&path, &file, registry);
    if let Ok(words) = &verdict {
        let _ = writeln!(text, "{words}");
        if let Some(words) = registry.families().find_map(|family| family.memory(&file, batch, dtype)) {
            let _ = writeln!(text, "{words}");
        }
    }
    if args.tensors {
        for name in names {
            if let Some(info) = file.info(name) {
                let _ = writeln!(text, "  {name}  {:?}  {}", info.shape, info.dtype);
            }
        }
    }
    say::product(format_args!("{text}"))?;
    verdict.map(|_| ()).map_err(failed)
}

/// A header's entry in a line: the beginning of what is long, as a trace's config and labels are.
fn short(value: &str) -> String {
    const LONGEST: usize = 400;
    let lines: Vec<&str> = value.lines().map(str::trim).collect();
    let line = lines.join(" ").replace("( ", "(").replace(", )", ")");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} ..", &line[..end]),
        None => line,
    }
}

/// How many tensors are stored in which type.
fn types(file: &WeightFile) -> String {
    let mut counts = BTreeMap::new();
    for info in file.names().filter_map(|name| file.info(name)) {
        *counts.entry(info.dtype.to_string()).or_insert(0) += 1;
    }
    counts.iter().map(|(stored, count)| format!("{count} {stored}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_in_a_header_is_one_line() {
        let text =
            "(\n    model: Shipped(\"a\"),\n    guidance: Ssg(\n        beta: 1,\n    ),\n    seed: 0,\n)";
        assert_eq!(short(text), "(model: Shipped(\"a\"), guidance: Ssg(beta: 1), seed: 0)");
        assert_eq!(short(&"é".repeat(401)), "é".repeat(400) + " ..");
    }
}
