//! The settings of every cell.

use maud::html;

use super::{Section, config_of, images_of};
use crate::numbers::number;
use crate::report::{Report, costs};

/// The cost of each cell.
pub(super) fn costs(report: &Report) -> Option<Section> {
    let costs = costs::costs(report)?;
    let timed = costs.iter().any(|costs| costs.milliseconds.is_some());
    let body = html! {
        div.scroll {
            table {
                tr {
                    th { "cell" } th.number { "passes" } th.number { "KV caches" }
                    @if timed { th.number { "ms an image" } th.number { "times the baseline" } }
                }
                @for (i, (cell, costs)) in report.ablation.cells.iter().zip(&costs).enumerate() {
                    tr.best[report.is_baseline(i)] {
                        td { (cell.name) } td.number { (costs.passes) } td.number { (costs.caches) }
                        @if timed {
                            td.number { (costs.milliseconds.as_deref().unwrap_or("–")) }
                            td.number { (costs.ratio.as_deref().unwrap_or(if report.is_baseline(i) { "1" } else { "–" })) }
                        }
                    }
                }
            }
        }
        p { (costs::ABOUT_COSTS) }
    };
    Some(Section { title: "Cost", id: "cost", body })
}

/// What each cell chose for itself.
pub(super) fn chosen(report: &Report) -> Option<Section> {
    let tuned = report.ablation.tuned.as_ref()?;
    let body = html! {
        p { "By " (tuned) "." }
        @for cell in &report.ablation.cells {
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
    };
    Some(Section { title: "What each cell chose", id: "chosen", body })
}

/// A config for every cell, for copying.
pub(super) fn configs(report: &Report) -> Section {
    let ablation = &report.ablation;
    let seed = ablation.seeds[0];
    let body = html! {
        p {
            "Complete configs. Click one to select it, save it as " code { "cell.ron" } " and run "
            code { "nextscale generate cell.ron --seed " (seed) } ": it generates the images that this page shows for seed "
            (seed) "."
        }
        @for (i, cell) in ablation.cells.iter().enumerate() {
            details {
                summary { (cell.name) }
                // Inside: a link to what is folded unfolds it.
                dl id=(config_of(i)) {
                    dt { "rule" } dd { code { (cell.guidance) } }
                    dt { "sampler" } dd { code { (cell.sampling) } }
                    dt { "filter on finished images" } dd { (cell.pixels) }
                    dt { "images" } dd { a href={ "#" (images_of(i, 0)) } { "on this page" } ", and in " code { "cells/" (cell.id) } }
                }
                @if !cell.config.is_empty() { pre { code { (cell.config) } } }
            }
        }
    };
    Section { title: "Configs", id: "configs", body }
}
