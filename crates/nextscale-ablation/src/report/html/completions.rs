//! The distance of completions from the real images.

use maud::{Markup, html};

use super::line_of;
use crate::chart::{Line, chart, legend};
use crate::numbers::{interval, number, signed};
use crate::report::Report;
use crate::report::words::ABOUT_COMPLETION;

/// A chart and a table.
pub(super) fn distances(report: &Report) -> Markup {
    let lines: Vec<Line> = report
        .completions
        .iter()
        .enumerate()
        .filter_map(|(i, rows)| {
            let points = rows.as_ref()?.iter().map(|row| (row.kept as f64, row.distance));
            Some(line_of(report, i, points.collect()))
        })
        .collect();
    let heads = report.completions.iter().flatten().next().into_iter().flatten();
    html! {
        figure {
            (chart(&lines, "scales kept", "distance in bytes, 0 to 255", None))
            (legend(&lines))
            figcaption { "Distance of completions from the real image, mean over images." }
        }
        details {
            summary { "As a table" }
            p { (ABOUT_COMPLETION) }
            div.scroll {
                table {
                    tr { th { "cell" } @for row in heads { th.number { (row.kept) " kept" } } }
                    @for (cell, rows) in report.ablation.cells.iter().zip(&report.completions) {
                        @if let Some(rows) = rows {
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
