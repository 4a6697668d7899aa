//! The report as one page: no scripts, no requests, light and dark.

mod bands;
mod measures;
mod pictures;
mod style;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::Report;
use super::words::{ABOUT_COMPLETION, ABOUT_SCALES, facts};
use crate::Result;
use crate::chart::{COLOURS, Line, STROKES, chart, legend};
use crate::numbers::{interval, number, signed};
use crate::store::Store;

/// The page.
pub(super) fn write(report: &Report, store: &Store) -> Result<String> {
    let ablation = &report.ablation;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (ablation.name) " · ablation" }
                style { (PreEscaped(COLOURS)) (PreEscaped(STROKES)) (PreEscaped(style::CSS)) }
            }
            body {
                header {
                    h1 { (ablation.name) }
                    dl.facts { @for (what, value) in facts(report) { div { dt { (what) } dd { (value) } } } }
                }
                main {
                    (measures::section(report))
                    (curves(report))
                    (pictures::section(report, store)?)
                    (scales(report))
                    (bands::section(report))
                    (completions(report))
                    (chosen(report))
                    (cells(report))
                }
                footer { "nextscale " (ablation.version) }
            }
        }
    };
    Ok(page.into_string())
}

/// The line of a cell; the baseline's has the colour of text.
fn line_of(report: &Report, cell: usize, points: Vec<(f64, f64)>) -> Line {
    let style = if cell > report.ablation.baseline { cell - 1 } else { cell };
    Line::new(&report.ablation.cells[cell].name, (!report.is_baseline(cell)).then_some(style), points)
}

fn curves(report: &Report) -> Markup {
    html! {
        @for curve in &report.curves {
            section {
                h2 { (curve.title) }
                @let lines: Vec<Line> = curve.cells.iter().enumerate().map(|(i, points)| line_of(report, i, points.clone())).collect();
                figure { (chart(&lines, &curve.x, &curve.y, Some(1.0))) (legend(&lines)) }
            }
        }
    }
}

fn scales(report: &Report) -> Markup {
    type Pick = fn(&crate::why::ScaleNumbers) -> f64;
    let charts: [(&str, &str, Pick); 3] = [
        ("Entropy", "nats", |scale| scale.entropy),
        ("Changed tokens", "share", |scale| scale.changed),
        ("Size of the correction", "relative to the base", |scale| scale.correction),
    ];
    let lines = |pick: Pick| -> Vec<Line> {
        let traced = report.traces.iter().enumerate().filter_map(|(i, traced)| Some((i, traced.as_ref()?)));
        traced
            .map(|(i, traced)| {
                let points = traced.scales.iter().enumerate().map(|(k, scale)| (k as f64 + 1.0, pick(scale)));
                line_of(report, i, points.collect())
            })
            .collect()
    };
    html! {
        @if report.traces.iter().any(Option::is_some) {
            section {
                h2 { "Scale by scale" }
                p { (ABOUT_SCALES) }
                div.several {
                    @for (title, unit, pick) in charts {
                        figure { h3 { (title) } (chart(&lines(pick), "scale", unit, None)) }
                    }
                }
                (legend(&lines(|scale| scale.entropy)))
            }
        }
    }
}

fn completions(report: &Report) -> Markup {
    let lines: Vec<Line> = report
        .completions
        .iter()
        .enumerate()
        .filter_map(|(i, rows)| {
            let points = rows.as_ref()?.iter().map(|row| (row.kept as f64, row.distance));
            Some(line_of(report, i, points.collect()))
        })
        .collect();
    html! {
        @if !lines.is_empty() {
            section {
                h2 { "Completion of real images" }
                p { (ABOUT_COMPLETION) }
                figure { (chart(&lines, "scales kept", "distance", None)) (legend(&lines)) }
                div.scroll {
                    table {
                        @for (i, (cell, rows)) in report.ablation.cells.iter().zip(&report.completions).enumerate() {
                            @if let Some(rows) = rows {
                                @if report.is_baseline(i) || i == 0 {
                                    tr { th { "cell" } @for row in rows { th { (row.kept) " kept" } } }
                                }
                                tr {
                                    td { (cell.name) }
                                    @for row in rows {
                                        td.number {
                                            (number(row.distance))
                                            @if let Some(d) = &row.difference {
                                                br; small { (signed(d.value)) " " (interval(d).unwrap_or_default()) }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn chosen(report: &Report) -> Markup {
    let ablation = &report.ablation;
    html! {
        @if let Some(tuned) = &ablation.tuned {
            section {
                h2 { "What each cell chose" }
                p { "By " (tuned) "." }
                @for cell in &ablation.cells {
                    @if let Some(chosen) = &cell.chosen {
                        details {
                            summary { strong { (cell.name) } ": " (chosen.points[chosen.best].0) }
                            div.scroll {
                                table {
                                    @for (i, (label, value)) in chosen.points.iter().enumerate() {
                                        tr.best[i == chosen.best] { td { (label) } td.number { (number(*value)) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cells(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Cells" }
            @for cell in &report.ablation.cells {
                details {
                    summary { (cell.name) }
                    dl {
                        dt { "rule" } dd { code { (cell.guidance) } }
                        dt { "sampler" } dd { code { (cell.sampling) } }
                        dt { "pixels" } dd { (cell.pixels) }
                        dt { "images" } dd { code { "cells/" (cell.id) } }
                    }
                }
            }
        }
    }
}
