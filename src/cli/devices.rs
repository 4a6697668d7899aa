//! `nextscale devices`: what `--device` can name on this machine.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::core::Dtype;
use crate::kernels;
use crate::pipeline::device::{self, Description, DeviceChoice, Kind, named, verified};

use super::Failure;
use super::say;

/// List the devices of this machine: names for --device, memory, types, and whether selfcheck has passed on them
#[derive(Debug, clap::Args)]
pub struct Args {}

/// A line per device, then the kinds that this program was built without.
pub fn run(_: Args) -> Result<(), Failure> {
    let mut rows = vec![["device", "name", "memory", "floats", "selfcheck"].map(String::from)];
    for (choice, kind, device) in device::all() {
        // A driver that is there and broken panics; the others are listed nevertheless.
        let described = match kind {
            None => Ok(Description { name: Some(kernels::route()), ..device::describe(&device) }),
            Some(_) => catch_unwind(AssertUnwindSafe(|| device::describe(&device))),
        };
        rows.push(row(choice, described.ok()));
    }
    let widths: Vec<usize> =
        (0..5).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    let mut missing: Vec<&str> =
        Kind::ALL.into_iter().filter(|kind| !kind.is_built()).map(Kind::feature).collect();
    missing.dedup();
    if let Some(one) = missing.first() {
        let missing = missing.join(", ");
        let _ = writeln!(
            text,
            "\nbuilt without the features {missing}; in nextscale's folder: cargo install --path . --features {one}"
        );
    }
    say::product(format_args!("{text}"))
}

fn row(choice: DeviceChoice, described: Option<Description>) -> [String; 5] {
    let device = choice.to_string();
    let Some(Description { name, memory, types, software }) = described else {
        return [device, "cannot be opened".into(), String::new(), String::new(), String::new()];
    };
    let name = name.unwrap_or_default();
    let file = verified::file();
    let is_passed = |dtype: &Dtype| {
        file.as_ref().is_some_and(|file| verified::is_verified(file, &named(choice, *dtype), &name))
    };
    let passed: Vec<Dtype> = [Dtype::F32, Dtype::Bf16, Dtype::F16].into_iter().filter(is_passed).collect();
    let memory = match memory {
        Some(bytes) => format!("{:.1} GB", bytes as f64 / 1e9),
        None if choice == DeviceChoice::Cpu || software => "the machine's".into(),
        None => "unknown".into(),
    };
    // The CPU's own kernels are what the tests of every version run on.
    let passed = match passed[..] {
        _ if choice == DeviceChoice::Cpu => String::new(),
        [] => "not run".into(),
        [Dtype::F32] => "passed".into(),
        _ => {
            let names: Vec<String> = passed.iter().map(Dtype::to_string).collect();
            format!("passed in {}", names.join(", "))
        }
    };
    let name = if software { format!("{name} (software)") } else { name };
    [device, name, memory, types.join(" "), passed]
}
