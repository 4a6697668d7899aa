//! What the page and the Markdown both say.

use super::Report;
use crate::judge::Better;
use crate::reference::Reference;

pub(super) const ABOUT_SCALES: &str = "Entropy is that of the guided distribution, before temperature and filters. Changed tokens are those that the \
     baseline's rule would have drawn otherwise with the same history and random numbers. The size of the correction is \
     ‖guided − base‖ / ‖base‖, base being the baseline's rule on the same history; logits are centred over the classes.";

pub(super) const ABOUT_COMPLETION: &str = "The tokens of real images are kept up to a scale and the rest is generated. Distances are root mean square \
     differences of bytes to the real image; in parentheses the difference to the baseline, paired by image, with its 95 % \
     interval over images.";

/// What the reader has to know before any number.
pub(super) fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let ablation = &report.ablation;
    let seeds: Vec<String> = ablation.seeds.iter().map(ToString::to_string).collect();
    let baseline = &ablation.cells[ablation.baseline];
    let reference = match &ablation.reference {
        Some(Reference::Shipped(name)) => format!("{name}, as shipped"),
        Some(Reference::Images(path)) => path.display().to_string(),
        None => "none".into(),
    };
    let mut models: Vec<String> =
        ablation.cells.iter().map(|cell| format!("{}, weights {}", cell.model, cell.weights)).collect();
    models.dedup();
    let mut facts = vec![
        ("Model", models.join("; ")),
        ("Device", ablation.device.clone()),
        ("Baseline", baseline.name.clone()),
        ("Images", format!("{} a cell and seed; seeds {}", ablation.samples, seeds.join(", "))),
        ("Reference", reference),
        ("Intervals", report.interval.clone()),
    ];
    if let Some(tuned) = &ablation.tuned {
        facts.push(("Settings", format!("every cell at its own best, by {tuned}")));
    }
    facts
}

/// Which way a measure is better, in words.
pub(super) fn better(better: Better) -> &'static str {
    match better {
        Better::Lower => "lower is better",
        Better::Higher => "higher is better",
        Better::Neither => "neither way is better",
    }
}
