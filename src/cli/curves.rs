//! `nextscale curves LOG --out SVG`: the losses of a training over its steps.

use std::path::PathBuf;

use crate::ablation::chart::{Line, svg};
use crate::files::write_atomically;
use crate::train::log::Table;

use super::Failure;
use super::place;
use super::say::say;

/// Plot a training's log as a line chart
///
/// If an evaluation.csv is beside the log, losses on held-out images are plotted as rings.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The log.csv in the folder of a training, finished or not
    log: PathBuf,
    /// The SVG file to write
    #[arg(long, value_name = "SVG")]
    out: PathBuf,
    /// The columns to plot, separated by commas [default: all losses]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    columns: Vec<String>,
}

/// Reads, plots, writes.
pub fn run(args: Args) -> Result<(), Failure> {
    place::check_file(&args.out)?;
    let table = Table::read(&args.log)?;
    let losses = table.losses();
    let columns: Vec<&str> = if args.columns.is_empty() {
        losses.clone()
    } else {
        args.columns.iter().map(String::as_str).collect()
    };
    let beside = args.log.with_file_name("evaluation.csv");
    // A training that has not reached its first evaluation has none.
    let held_out = beside.is_file().then(|| Table::read(&beside)).transpose()?;
    let line = |(style, column): (usize, &&str)| {
        let points = table.points(column).ok_or_else(|| {
            Failure::Usage(miette::miette!(
                "{} has no column `{column}`; it has {}",
                args.log.display(),
                table.columns.join(", ")
            ))
        })?;
        let marks = held_out.as_ref().and_then(|table| held_out_points(table, column)).unwrap_or_default();
        Ok(Line { marks, ..Line::new(*column, Some(style), points) })
    };
    let lines = columns.iter().enumerate().map(line).collect::<Result<Vec<_>, Failure>>()?;
    // The legend names the columns.
    let y = if columns.iter().all(|name| losses.contains(name)) { "loss".into() } else { columns.join(", ") };
    let text = svg(&format!("{y} against step"), &lines, "step", &y, "held-out images");
    write_atomically(&args.out, text.as_bytes())
        .map_err(|error| Failure::Run(miette::miette!("cannot write {}: {error}", args.out.display())))?;
    say!("wrote {}: {} lines over {} rows", args.out.display(), lines.len(), table.rows.len());
    Ok(())
}

/// The same loss on held-out images: a backbone's with classes, a classifier's cross-entropy.
fn held_out_points(table: &Table, column: &str) -> Option<Vec<(f64, f64)>> {
    let names: &[&str] = if column == "loss" { &["class.all", "cross_entropy"] } else { &[] };
    let own = [column.to_owned(), format!("class.{column}")];
    own.iter().map(String::as_str).chain(names.iter().copied()).find_map(|name| table.points(name))
}
