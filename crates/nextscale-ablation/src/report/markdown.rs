//! The tables as Markdown.

use std::fmt::Write;

use super::findings::{Verdict, sentences};
use super::words::{ABOUT_COMPLETION, ABOUT_SCALES, arrow, better, citation, facts, protocols, scope};
use super::{Measured, Report, costs};
use crate::judge::Better;
use crate::numbers::{excluded, interval, number, signed};

/// The whole report except pictures, in the order of the page.
pub(super) fn write(report: &Report) -> String {
    let ablation = &report.ablation;
    let mut text = format!("# {}\n\n{}\n\n## What was found\n\n", ablation.name, scope(report));
    for sentence in sentences(report) {
        line(&mut text, &format!("- {sentence}"));
    }
    overview(report, &mut text);
    costs(report, &mut text);
    let ways = |measured: &&Measured| measured.measure.better != Better::Neither;
    line(&mut text, "\n## Measures\n");
    report.measures.iter().filter(ways).for_each(|measured| measure(report, measured, &mut text));
    completions(report, &mut text);
    scales(report, &mut text);
    chosen(report, &mut text);
    let neither: Vec<&Measured> = report.measures.iter().filter(|measured| !ways(measured)).collect();
    if !neither.is_empty() {
        line(&mut text, "\n## Pixels and spectra\n");
        neither.into_iter().for_each(|measured| measure(report, measured, &mut text));
    }
    cells(report, &mut text);
    line(&mut text, "\n## Protocol\n");
    for (what, value) in facts(report) {
        line(&mut text, &format!("- {what}: {value}"));
    }
    for (names, protocol) in protocols(report) {
        line(&mut text, &format!("- {}: {protocol}", names.join(", ")));
    }
    for measured in &report.measures {
        if let Some(caution) = &measured.caution {
            line(&mut text, &format!("- (!) {}: {caution}", measured.measure.name));
        }
    }
    line(&mut text, &format!("\n## How to cite this run\n\n```\n{}```", citation(report)));
    text
}

/// The cost of cells.
fn costs(report: &Report, text: &mut String) {
    let Some(costs) = costs::costs(report) else { return };
    line(
        text,
        "\n## Cost\n\n| cell | passes | KV caches | ms an image | times the baseline |\n|---|--:|--:|--:|--:|",
    );
    for (cell, costs) in report.ablation.cells.iter().zip(costs) {
        let (name, times) = (escaped(&cell.name), costs.milliseconds.unwrap_or_default());
        let ratio = costs.ratio.unwrap_or_default();
        line(text, &format!("| {name} | {} | {} | {times} | {ratio} |", costs.passes, costs.caches));
    }
    line(text, &format!("\n{}", costs::ABOUT_COSTS));
}

/// Cells by measures.
fn overview(report: &Report, text: &mut String) {
    let ways = |measured: &&Measured| measured.measure.better != Better::Neither;
    let shown: Vec<&Measured> = report.measures.iter().filter(ways).collect();
    if shown.is_empty() {
        return;
    }
    let head = |measured: &&Measured| {
        let caution = if measured.caution.is_some() { " (!)" } else { "" };
        format!("{}{caution} {}", measured.measure.name, arrow(measured.measure.better))
    };
    let heads: Vec<String> = shown.iter().map(head).collect();
    line(text, &format!("\n| cell | {} |\n|---|{}", heads.join(" | "), "--:|".repeat(heads.len())));
    for (i, cell) in report.ablation.cells.iter().enumerate() {
        let entry = |measured: &&Measured| {
            let value = &measured.values[i];
            let difference = value.difference.as_ref().map(|difference| match measured.verdict(i) {
                Some(Verdict::Better | Verdict::Worse) => format!(" **{}**", signed(difference.value)),
                _ => format!(" {}", signed(difference.value)),
            });
            number(value.value) + &difference.unwrap_or_default()
        };
        let entries: Vec<String> = shown.iter().map(entry).collect();
        let name = escaped(&cell.name);
        let name = if report.is_baseline(i) { format!("**{name}** (baseline)") } else { name };
        line(text, &format!("| {name} | {} |", entries.join(" | ")));
    }
    line(text, "\nBold differences have a 95 % interval that excludes zero; an arrow is the better way.");
}

fn cells(report: &Report, text: &mut String) {
    line(text, "\n## Cells\n");
    line(text, "| cell | rule | sampler | pixels | id |\n|---|---|---|---|---|");
    for cell in &report.ablation.cells {
        let row = format!(
            "| {} | `{}` | `{}` | {} | `{}` |",
            escaped(&cell.name),
            cell.guidance,
            cell.sampling,
            cell.pixels,
            cell.id
        );
        line(text, &row);
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn escaped(name: &str) -> String {
    name.replace('|', "\\|")
}

fn measure(report: &Report, measured: &Measured, text: &mut String) {
    let about = &measured.measure;
    line(text, &format!("### {}\n\n{}; {}.\n", about.name, about.about, better(about.better)));
    line(text, "| cell | value | difference | 95 % interval | excludes 0 |\n|---|--:|--:|---|---|");
    for (i, (cell, value)) in report.ablation.cells.iter().zip(&measured.values).enumerate() {
        let (name, number) = (escaped(&cell.name), number(value.value));
        let row = match &value.difference {
            _ if report.is_baseline(i) => format!("| **{name}** | {number} | baseline | | |"),
            None => format!("| {name} | {number} | | | |"),
            Some(d) => format!(
                "| {name} | {number} | {} | {} | {} |",
                signed(d.value),
                interval(d).unwrap_or_default(),
                excluded(d)
            ),
        };
        line(text, &row);
    }
    line(text, "");
}

fn chosen(report: &Report, text: &mut String) {
    let Some(tuned) = &report.ablation.tuned else { return };
    line(
        text,
        &format!(
            "\n## What each cell chose\n\nBy {tuned}.\n\n| cell | chosen | there | worst |\n|---|---|--:|--:|"
        ),
    );
    for cell in &report.ablation.cells {
        let Some(chosen) = &cell.chosen else { continue };
        let (label, value) = &chosen.points[chosen.best];
        let far = |a: &f64, b: &f64| (a - value).abs().total_cmp(&(b - value).abs());
        let worst = chosen.points.iter().map(|(_, value)| *value).max_by(far).unwrap_or(*value);
        line(
            text,
            &format!("| {} | {label} | {} | {} |", escaped(&cell.name), number(*value), number(worst)),
        );
    }
}

fn scales(report: &Report, text: &mut String) {
    let Some(count) = report.traces.iter().flatten().map(|traced| traced.scales.len()).next() else { return };
    line(text, "\n## Scale by scale\n");
    line(text, ABOUT_SCALES);
    type Pick = fn(&crate::why::ScaleNumbers) -> f64;
    let tables: [(&str, Pick); 3] = [
        ("Entropy in nats", |scale| scale.entropy),
        ("Changed tokens", |scale| scale.changed),
        ("Size of the correction", |scale| scale.correction),
    ];
    for (title, pick) in tables {
        let heads: String = report.ablation.scales.iter().fold(String::new(), |mut heads, (h, w)| {
            let _ = write!(heads, " {h}×{w} |");
            heads
        });
        line(text, &format!("\n### {title}\n\n| cell |{heads}\n|---|{}", "--:|".repeat(count)));
        for (cell, traced) in report.ablation.cells.iter().zip(&report.traces) {
            let Some(traced) = traced else { continue };
            let values: Vec<String> = traced.scales.iter().map(|scale| number(pick(scale))).collect();
            line(text, &format!("| {} | {} |", escaped(&cell.name), values.join(" | ")));
        }
    }
}

fn completions(report: &Report, text: &mut String) {
    let Some(first) = report.completions.iter().flatten().next() else { return };
    line(text, "\n## Completion of real images\n");
    line(text, ABOUT_COMPLETION);
    let heads: Vec<String> = first.iter().map(|completion| format!("{} kept", completion.kept)).collect();
    line(text, &format!("\n| cell | {} |\n|---|{}", heads.join(" | "), "--:|".repeat(heads.len())));
    for (cell, completion) in report.ablation.cells.iter().zip(&report.completions) {
        let Some(completion) = completion else { continue };
        let values = completion.iter().map(|completion| {
            let difference = completion.difference.as_ref();
            let difference =
                difference.and_then(|d| Some(format!(" ({}, {})", signed(d.value), interval(d)?)));
            number(completion.distance) + &difference.unwrap_or_default()
        });
        let values: Vec<String> = values.collect();
        line(text, &format!("| {} | {} |", escaped(&cell.name), values.join(" | ")));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_report_reads_from_what_was_found_to_how_to_cite_it() {
        insta::assert_snapshot!(super::write(&crate::report::testing::report()));
    }
}
