//! Every measure as dots and intervals of the differences to the baseline.

use maud::{Markup, html};

use crate::chart::{Side, px, short};
use crate::numbers::{interval, number, signed};
use crate::report::words::better;
use crate::report::{Measured, Report};
use crate::stats::Difference;

pub(super) fn section(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Measures" }
            p {
                "Dots are differences to “" (report.ablation.cells[report.ablation.baseline].name)
                "”, bars their 95 % intervals; filled where the interval excludes zero."
            }
            @for measured in &report.measures { (card(report, measured)) }
        }
    }
}

fn card(report: &Report, measured: &Measured) -> Markup {
    let differences = measured.values.iter().filter_map(|value| value.difference);
    let ends = differences.flat_map(|d| [Some(d.value), d.low, d.high]).flatten().chain([0.0]);
    // In per cent of the plot's width, so that the marks keep their shape at every width.
    let side = Side::new(ends, 2.0, 98.0);
    html! {
        div.card.measure {
            h3 { (measured.measure.name) }
            p.about { (measured.measure.about) "; " (better(measured.measure.better)) ". " (measured.protocol) "." }
            @if let Some(caution) = &measured.caution { p.about { strong { "Caution: " } (caution) "." } }
            @for (i, (cell, value)) in report.ablation.cells.iter().zip(&measured.values).enumerate() {
                div.row {
                    span.base[report.is_baseline(i)] { (cell.name) }
                    span.number { (number(value.value)) }
                    @match &value.difference {
                        Some(difference) => {
                            div.plot { (mark(&side, difference)) }
                            span.said.sure[difference.excludes_zero() == Some(true)] {
                                (signed(difference.value)) " " (interval(difference).unwrap_or_default())
                            }
                        }
                        None => { div.plot {} span.said { "baseline" } }
                    }
                }
            }
            div.row {
                span {} span {}
                div.plot {
                    svg aria-hidden="true" {
                        @for tick in side.ticks() {
                            text x={ (px(side.at(tick))) "%" } y="14" text-anchor="middle" { (short(tick)) }
                        }
                    }
                }
                span {}
            }
        }
    }
}

fn mark(side: &Side, difference: &Difference) -> Markup {
    let at = |value: f64| format!("{}%", px(side.at(value)));
    let unsure = difference.excludes_zero() != Some(true);
    html! {
        svg role="img" {
            title { (signed(difference.value)) " " (interval(difference).unwrap_or_default()) }
            line.zero x1=(at(0.0)) x2=(at(0.0)) y1="0" y2="22" {}
            @if let (Some(low), Some(high)) = (difference.low, difference.high) {
                line.mark.unsure[unsure] x1=(at(low)) x2=(at(high)) y1="11" y2="11" stroke-width="2" {}
            }
            circle.mark.unsure[unsure] cx=(at(difference.value)) cy="11" r="4.5" stroke-width="2" {}
        }
    }
}
