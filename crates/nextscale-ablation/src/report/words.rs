//! Texts shared by the page and the Markdown.

use super::Report;
use crate::judge::Better;
use crate::reference::Reference;

pub(super) const ABOUT_SCALES: &str = "Entropy is that of the guided distribution, before temperature and filters. Changed tokens are those that the \
     baseline's rule would have drawn otherwise with the same history and random numbers. The size of the correction is \
     ‖guided − base‖ / ‖base‖, base being the baseline's rule on the same history; logits are centred over the classes.";

pub(super) const ABOUT_COMPLETION: &str = "The tokens of real images are kept up to a scale and the rest is generated. Distances are root mean square \
     differences of bytes to the real image; in parentheses the difference to the baseline, paired by image, with its 95 % \
     interval over images.";

pub(super) const SUMMARY_TABLE: &str = "Every cell by every measure, with the difference from the baseline. Arrows show the direction of the change. \
     Bold and coloured: the 95 % interval excludes zero, teal is better, orange is worse. Grey: no clear difference. Click a value \
     for its images, a cell for its config.";

/// The scope of the ablation, on one line.
pub(super) fn scope(report: &Report) -> String {
    let ablation = &report.ablation;
    let cells = ablation.cells.len();
    let baseline = &ablation.cells[ablation.baseline];
    let models = models(report).into_iter().map(|(model, _)| model).collect::<Vec<_>>().join(", ");
    format!(
        "{cells} cells × {} × {} images of {models}, paired by seed and image number; baseline “{}”.",
        seeds(ablation.seeds.len()),
        ablation.samples,
        baseline.name
    )
}

/// The number of images behind a number, for captions.
pub(super) fn setting(report: &Report) -> String {
    let ablation = &report.ablation;
    format!("{} × {} images per cell", seeds(ablation.seeds.len()), ablation.samples)
}

fn seeds(count: usize) -> String {
    if count == 1 { "1 seed".into() } else { format!("{count} seeds") }
}

/// The models with their weights, without duplicates.
fn models(report: &Report) -> Vec<(String, String)> {
    let mut models: Vec<(String, String)> = Vec::new();
    for cell in &report.ablation.cells {
        let model = (cell.model.clone(), cell.weights.clone());
        if !models.contains(&model) {
            models.push(model);
        }
    }
    models
}

/// Each protocol once, with its measures; a network that several share is described at the first.
pub(super) fn protocols(report: &Report) -> Vec<(Vec<&str>, String)> {
    let mut protocols: Vec<(Vec<&str>, &str)> = Vec::new();
    for measured in &report.measures {
        let name = measured.measure.name.as_str();
        match protocols.iter_mut().find(|(_, protocol)| *protocol == measured.protocol) {
            Some((names, _)) => names.push(name),
            None => protocols.push((vec![name], &measured.protocol)),
        }
    }
    let mut networks: Vec<String> = Vec::new();
    let once = |(names, protocol): (Vec<_>, &str)| match protocol.split_once("; ") {
        Some((network, rest)) if networks.iter().any(|known| known == network) => {
            (names, format!("the same features; {rest}"))
        }
        Some((network, _)) => {
            networks.push(network.to_owned());
            (names, protocol.to_owned())
        }
        None => (names, protocol.to_owned()),
    };
    protocols.into_iter().map(once).collect()
}

/// What a paper needs to state about a run: versions, hashes, command.
pub(super) fn citation(report: &Report) -> String {
    let ablation = &report.ablation;
    let seeds: Vec<String> = ablation.seeds.iter().map(ToString::to_string).collect();
    let mut lines = vec![
        format!("nextscale {}, ablation “{}”, device {}", ablation.version, ablation.name, ablation.device),
        format!(
            "{} cells, baseline “{}”, seeds {}, {} images a cell and seed",
            ablation.cells.len(),
            ablation.cells[ablation.baseline].name,
            seeds.join(" "),
            ablation.samples
        ),
    ];
    lines.extend(
        models(report).into_iter().map(|(model, weights)| format!("model {model}, weights {weights}")),
    );
    lines.extend(
        ablation.file_hash.as_ref().map(|hash| format!("ablation file, sha256 of its values: {hash}")),
    );
    lines.extend(ablation.command.as_ref().map(|command| format!("command: {command}")));
    lines.join("\n") + "\n"
}

/// What the reader must know before any number.
pub(super) fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let ablation = &report.ablation;
    let seeds: Vec<String> = ablation.seeds.iter().map(ToString::to_string).collect();
    let baseline = &ablation.cells[ablation.baseline];
    let reference = match &ablation.reference {
        Some(Reference::Shipped(name)) => format!("{name}, as shipped"),
        Some(Reference::Images(path)) => path.display().to_string(),
        None => "none".into(),
    };
    let models: Vec<String> =
        models(report).into_iter().map(|(model, weights)| format!("{model}, weights {weights}")).collect();
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

/// The better direction of a measure, in words.
pub(super) fn better(better: Better) -> &'static str {
    match better {
        Better::Lower => "lower is better",
        Better::Higher => "higher is better",
        Better::Neither => "neither way is better",
    }
}

/// The same as an arrow.
pub(super) fn arrow(better: Better) -> &'static str {
    match better {
        Better::Lower => "↓",
        Better::Higher => "↑",
        Better::Neither => "",
    }
}
