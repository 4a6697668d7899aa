//! One row per cell and measure.

use super::Report;
use crate::cost::Times;
use crate::{Error, Result};

/// One row per cell: its number, name, id and settings.
pub(super) fn cells(report: &Report) -> Result<String> {
    let failed =
        |error: &dyn std::fmt::Display| Error::Usage(format!("the table cannot be written: {error}"));
    let mut table = csv::Writer::from_writer(Vec::new());
    let head = [
        "number",
        "cell",
        "id",
        "folder",
        "guidance",
        "sampling",
        "pixels",
        "settings",
        "model",
        "weights",
        "passes",
        "caches",
        "milliseconds",
    ];
    table.write_record(head).map_err(|error| failed(&error))?;
    for (number, cell) in report.ablation.cells.iter().enumerate() {
        let times = report.times.get(number).and_then(Option::as_ref);
        let settings: Vec<String> =
            cell.settings.iter().map(|(path, value)| format!("{path}={value}")).collect();
        table
            .write_record([
                number.to_string(),
                cell.name.clone(),
                cell.id.clone(),
                format!("cells/{}", cell.id),
                cell.guidance.clone(),
                cell.sampling.clone(),
                cell.pixels.to_string(),
                settings.join("; "),
                cell.model.clone(),
                cell.weights.clone(),
                cell.work.map_or(String::new(), |work| work.passes.to_string()),
                cell.work.map_or(String::new(), |work| work.caches.to_string()),
                times.and_then(Times::median).map_or(String::new(), |median| median.to_string()),
            ])
            .map_err(|error| failed(&error))?;
    }
    let bytes = table.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}

/// The table as CSV; fields without a value are empty.
pub(super) fn write(report: &Report) -> Result<String> {
    let failed =
        |error: &dyn std::fmt::Display| Error::Usage(format!("the table cannot be written: {error}"));
    let mut table = csv::Writer::from_writer(Vec::new());
    let head = [
        "cell",
        "measure",
        "value",
        "difference",
        "low",
        "high",
        "excludes_zero",
        "better",
        "baseline",
        "samples",
        "seeds",
        "guidance",
        "sampling",
        "pixels",
        "settings",
        "id",
        "pooled",
    ];
    table.write_record(head).map_err(|error| failed(&error))?;
    let ablation = &report.ablation;
    let seeds: Vec<String> = ablation.seeds.iter().map(ToString::to_string).collect();
    for (i, cell) in ablation.cells.iter().enumerate() {
        for measured in &report.measures {
            let value = &measured.values[i];
            let some = |number: Option<f64>| number.map_or(String::new(), |number| number.to_string());
            let difference = value.difference.as_ref();
            let settings: Vec<String> =
                cell.settings.iter().map(|(path, value)| format!("{path}={value}")).collect();
            let better = format!("{:?}", measured.measure.better).to_lowercase();
            table
                .write_record([
                    cell.name.clone(),
                    measured.measure.name.clone(),
                    value.value.to_string(),
                    some(difference.map(|d| d.value)),
                    some(difference.and_then(|d| d.low)),
                    some(difference.and_then(|d| d.high)),
                    difference.and_then(|d| d.excludes_zero()).map_or(String::new(), |yes| yes.to_string()),
                    better,
                    ablation.cells[ablation.baseline].name.clone(),
                    ablation.samples.to_string(),
                    seeds.join(" "),
                    cell.guidance.clone(),
                    cell.sampling.clone(),
                    cell.pixels.to_string(),
                    settings.join("; "),
                    cell.id.clone(),
                    value.pooled.to_string(),
                ])
                .map_err(|error| failed(&error))?;
        }
    }
    let bytes = table.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}
