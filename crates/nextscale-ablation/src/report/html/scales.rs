//! Lines over scales and frequencies.

use maud::{Markup, html};

use super::{Section, line_of};
use crate::chart::{Line, chart, legend, small_chart};
use crate::report::Report;
use crate::report::words::{ABOUT_SCALES, setting};

/// Curves over all cells.
pub(super) fn curves(report: &Report) -> Markup {
    html! {
        @for curve in &report.curves {
            @let lines: Vec<Line> = curve.cells.iter().enumerate().map(|(i, points)| line_of(report, i, points.clone())).collect();
            figure {
                (chart(&lines, &curve.x, &curve.y, Some(1.0)))
                (legend(&lines))
                figcaption { (curve.title) ", " (setting(report)) "; at the dashed line both are equal." }
            }
        }
    }
}

/// What happens at every scale.
pub(super) fn section(report: &Report) -> Option<Section> {
    type Pick = fn(&crate::why::ScaleNumbers) -> f64;
    let charts: [(&str, &str, Pick); 3] = [
        ("Entropy of the guided distribution", "nats a token", |scale| scale.entropy),
        ("Tokens that differ from the baseline's draw", "share of tokens", |scale| scale.changed),
        ("Size of the correction", "‖guided − base‖ / ‖base‖", |scale| scale.correction),
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
    let images = report.traces.iter().flatten().next()?.images;
    let body = html! {
        div.several {
            @for (title, unit, pick) in charts {
                figure {
                    (small_chart(&lines(pick), "scale, from coarse to fine", unit))
                    figcaption { (title) ", mean over " (images) " images of seed " (report.ablation.seeds[0]) "." }
                }
            }
        }
        (legend(&lines(|scale| scale.entropy)))
        p { (ABOUT_SCALES) }
    };
    Some(Section { title: "Scale by scale", id: "scales", body })
}
