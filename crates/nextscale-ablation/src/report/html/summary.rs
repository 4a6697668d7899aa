//! The findings, and a table of all measures with a better direction.

use maud::{Markup, html};

use super::{Section, config_of, images_of};
use crate::judge::Better;
use crate::numbers::{brief, interval, number, signed};
use crate::report::costs::costs;
use crate::report::findings::{Verdict, sentences};
use crate::report::words::{SUMMARY_TABLE, arrow};
use crate::report::{Measured, Report};
use crate::stats::Difference;

pub(super) fn section(report: &Report) -> Section {
    let body = html! {
        div.findings {
            @for sentence in sentences(report) {
                // A number and its unit stay on one line.
                @let sentence = sentence.replace(" %", "\u{a0}%");
                p {
                    @match sentence.split_once(": ") {
                        Some((of, what)) => { strong { (of) } ": " (what) }
                        None => (sentence),
                    }
                }
            }
        }
        (table(report))
    };
    Section { title: "What was found", id: "summary", body }
}

fn table(report: &Report) -> Markup {
    let ways = |measured: &&Measured| measured.measure.better != Better::Neither;
    let shown: Vec<&Measured> = report.measures.iter().filter(ways).collect();
    // If no measure has a better direction, all of them.
    let shown = if shown.is_empty() { report.measures.iter().collect() } else { shown };
    let costs = costs(report);
    html! {
        div.scroll {
            table.overview {
                caption { (SUMMARY_TABLE) }
                thead {
                    tr {
                        th scope="col" { "cell" }
                        @if costs.is_some() {
                            th scope="col" { a href="#cost" { "cost" } br; small { "passes" } }
                        }
                        @for measured in &shown {
                            th scope="col" title=(measured.measure.about) {
                                (measured.measure.name)
                                @if measured.caution.is_some() { a.caution href="#protocol" title="read the caution" { " (!)" } }
                                br;
                                small { (toward(measured.measure.better)) }
                            }
                        }
                    }
                }
                tbody {
                    @for (cell, planned) in report.ablation.cells.iter().enumerate() {
                        tr.base[report.is_baseline(cell)] {
                            th scope="row" { a href={ "#" (config_of(cell)) } { (planned.name) } }
                            @if let Some(costs) = &costs {
                                td { (costs[cell].passes) br; small { (costs[cell].milliseconds.as_ref().map_or(String::new(), |ms| format!("{ms} ms"))) } }
                            }
                            @for measured in &shown { td { (entry(report, measured, cell)) } }
                        }
                    }
                }
            }
        }
    }
}

/// The better direction, briefly.
fn toward(better: Better) -> String {
    match better {
        Better::Neither => "neither is better".into(),
        better => format!("{} is better", arrow(better)),
    }
}

fn entry(report: &Report, measured: &Measured, cell: usize) -> Markup {
    let value = &measured.values[cell];
    html! {
        a href={ "#" (images_of(cell, 0)) } title={ "images of " (report.ablation.cells[cell].name) } { (number(value.value)) }
        br;
        @match &value.difference {
            Some(difference) => (change(measured, cell, difference)),
            None => small { "baseline" },
        }
    }
}

/// A difference with its direction: an arrow for the direction of the value, coloured and bold if it is
/// certain.
pub(super) fn change(measured: &Measured, cell: usize, difference: &Difference) -> Markup {
    let said = format!("{} {}", signed(difference.value), interval(difference).unwrap_or_default());
    let size = brief(difference.value.abs());
    html! {
        span class=(class(measured, cell)) title=(said.trim_end()) { (direction(difference)) " " (size) }
    }
}

/// The direction of the value.
fn direction(difference: &Difference) -> &'static str {
    match difference.value {
        value if value > 0.0 => "↑",
        value if value < 0.0 => "↓",
        _ => "=",
    }
}

/// The appearance of a cell's value on the page.
pub(super) fn class(measured: &Measured, cell: usize) -> &'static str {
    match measured.verdict(cell) {
        Some(Verdict::Better) => "better",
        Some(Verdict::Worse) => "worse",
        _ => "open",
    }
}
