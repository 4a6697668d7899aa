//! Every measure as dots and intervals of the differences from the baseline, and two of them against each
//! other.

use maud::{Markup, html};

use super::summary::class;
use super::{Section, images_of};
use crate::chart::{Side, legend, px, short};
use crate::judge::Better;
use crate::numbers::{interval, number, signed};
use crate::report::findings::leading;
use crate::report::words::{better, setting};
use crate::report::{Measured, Report};
use crate::scatter::lines;
use crate::stats::Difference;

/// Measures with a better direction: those of the summary unfolded, the rest folded.
pub(super) fn section(report: &Report) -> Section {
    let open: Vec<&str> = leading(report).iter().map(|measured| measured.measure.name.as_str()).collect();
    let body = html! {
        @for measured in report.measures.iter().filter(|measured| measured.measure.better != Better::Neither) {
            (card(report, measured, open.contains(&measured.measure.name.as_str())))
        }
    };
    Section { title: "Measures", id: "measures", body }
}

/// Descriptive measures and curves, folded.
pub(super) fn descriptive(report: &Report) -> Option<Section> {
    let neither = || report.measures.iter().filter(|measured| measured.measure.better == Better::Neither);
    if neither().next().is_none() && report.curves.is_empty() {
        return None;
    }
    let body = html! {
        p { "These numbers describe images without ranking them; a filter on finished images changes them as well." }
        (super::scales::curves(report))
        @for measured in neither() { (card(report, measured, false)) }
    };
    Some(Section { title: "Pixels and spectra", id: "descriptive", body })
}

/// Two measures against each other.
pub(super) fn scatters(report: &Report) -> Option<Section> {
    if report.scatters.is_empty() {
        return None;
    }
    let name = |measure: usize| &report.measures[measure].measure.name;
    let body = html! {
        @for scatter in &report.scatters {
            @let joined = scatter.series.iter().any(|series| series.points.len() > 1);
            figure {
                div.scroll { (scatter.chart(report)) }
                (legend(&lines(&scatter.paths(report))))
                figcaption {
                    (name(scatter.y)) " against " (name(scatter.x)) ", " (setting(report)) ". Crosses are 95 % intervals of "
                    "each value by itself. Differences between cells are more certain than crosses suggest, because images are paired."
                    @if joined { " Lines join the cells of one variant along an axis; labels are the values on it." }
                    @for measured in [scatter.x, scatter.y].map(|measure| &report.measures[measure]) {
                        @if let Some(caution) = &measured.caution { " (!) " (caution) "." }
                    }
                }
            }
        }
    };
    Some(Section { title: "Trade-offs", id: "scatter", body })
}

fn card(report: &Report, measured: &Measured, open: bool) -> Markup {
    let differences = measured.values.iter().filter_map(|value| value.difference);
    let ends = differences.flat_map(|d| [Some(d.value), d.low, d.high]).flatten().chain([0.0]);
    // In per cent of the plot's width, so that the marks keep their shape at every width.
    let side = Side::new(ends, 2.0, 98.0);
    let name = &measured.measure.name;
    let baseline = &report.ablation.cells[report.ablation.baseline].name;
    html! {
        details.card.measure open[open] {
            summary { strong { (name) } ": " (measured.measure.about) "; " (better(measured.measure.better)) }
            figure {
                @for (i, (cell, value)) in report.ablation.cells.iter().zip(&measured.values).enumerate() {
                    div.row {
                        span.cell.base[report.is_baseline(i)] { (cell.name) }
                        a.number href={ "#" (images_of(i, 0)) } { (number(value.value)) }
                        @match &value.difference {
                            Some(difference) => {
                                div.plot { (mark(&side, class(measured, i), difference)) }
                                span class={ "said " (class(measured, i)) } {
                                    (signed(difference.value)) " " (interval(difference).unwrap_or_default())
                                }
                            }
                            None => { div.plot {} span.said { "baseline" } }
                        }
                    }
                }
                div.row.ticks {
                    span {} span {}
                    div.plot {
                        svg aria-hidden="true" {
                            @for tick in side.ticks() {
                                text x={ (px(side.at(tick))) "%" } y="14" text-anchor="middle" { (short(tick)) }
                            }
                        }
                    }
                    span.said { "difference in " (name) }
                }
                figcaption {
                    (name) " of every cell, and its difference from “" (baseline) "” with the 95 % interval as a bar, "
                    (setting(report)) ". Dots are filled where the interval excludes zero."
                }
            }
            (seeds(report, measured))
        }
    }
}

/// The values by seed, each next to its images.
fn seeds(report: &Report, measured: &Measured) -> Markup {
    let shown = super::pictures::seeds_shown(report);
    html! {
        @if report.ablation.seeds.len() > 1 {
            details.seeds {
                summary { "Seed by seed" }
                div.scroll {
                    table {
                        tr { th { "cell" } @for seed in &report.ablation.seeds { th.number { "seed " (seed) } } }
                        @for (i, (cell, value)) in report.ablation.cells.iter().zip(&measured.values).enumerate() {
                            tr {
                                td { (cell.name) }
                                @for (seed, value) in value.seeds.iter().enumerate() {
                                    td.number {
                                        @if seed < shown { a href={ "#" (images_of(i, seed)) } { (number(*value)) } }
                                        @else { (number(*value)) }
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

fn mark(side: &Side, class: &str, difference: &Difference) -> Markup {
    let at = |value: f64| format!("{}%", px(side.at(value)));
    html! {
        svg role="img" class=(class) {
            title { (signed(difference.value)) " " (interval(difference).unwrap_or_default()) }
            line.zero x1=(at(0.0)) x2=(at(0.0)) y1="0" y2="22" {}
            @if let (Some(low), Some(high)) = (difference.low, difference.high) {
                line.mark x1=(at(low)) x2=(at(high)) y1="11" y2="11" stroke-width="2" {}
            }
            circle.mark cx=(at(difference.value)) cy="11" r="4.5" stroke-width="2" {}
        }
    }
}
