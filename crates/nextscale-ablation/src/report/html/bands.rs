//! Energies of logits, prior and residual over DCT bands.

use maud::{Markup, html};

use super::Section;
use crate::chart::{Side, px, short};
use crate::report::Report;
use crate::why::{Bands, ScaleNumbers};

pub(super) fn section(report: &Report) -> Option<Section> {
    let with_prior = |scale: &ScaleNumbers| scale.prior.is_some();
    let cells = || {
        let pairs = report.ablation.cells.iter().zip(&report.traces);
        pairs.filter_map(|(cell, traced)| {
            let scales = &traced.as_ref()?.scales;
            scales.iter().any(with_prior).then_some((cell, scales))
        })
    };
    cells().next()?;
    let body = html! {
        p {
            "Mean energy of a channel in radially binned bands of the DCT, logarithmic: the base's logits, the prior, and "
            "what is left, logits − prior. The dashed line is the first band that the scale before cannot hold (its "
            "Nyquist bin): energy of the prior right of it was made by the interpolation."
        }
        div.legend {
            @for (i, name) in NAMES.iter().enumerate() {
                span {
                    svg viewBox="0 0 26 8" aria-hidden="true" {
                        line x1="0" x2="26" y1="4" y2="4" stroke-width="3" stroke=(colour(i)) {}
                    }
                    (name)
                }
            }
        }
        @for (i, (cell, scales)) in cells().enumerate() {
            @let last = scales.iter().rposition(with_prior);
            details open[i == 0] {
                summary { (cell.name) }
                div.several.small {
                    @for (k, scale) in scales.iter().enumerate().filter(|(_, scale)| with_prior(scale)) {
                        @if scale.logits.0.len() > 2 || Some(k) == last {
                            figure {
                                (chart(scale))
                                @let (h, w) = report.ablation.scales.get(k).copied().unwrap_or_default();
                                figcaption {
                                    "Energy of logits, prior and residual in bands of the DCT: “" (cell.name) "” at scale " (k + 1) ", "
                                    (h) " × " (w) " tokens."
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    Some(Section { title: "Energy by frequency", id: "bands", body })
}

const NAMES: [&str; 3] = ["logits", "prior", "residual"];

fn colour(line: usize) -> &'static str {
    ["var(--ink)", "var(--c0)", "var(--c1)"][line % 3]
}

fn chart(scale: &ScaleNumbers) -> Markup {
    let lines: Vec<&Bands> =
        [Some(&scale.logits), scale.prior.as_ref(), scale.residual.as_ref()].into_iter().flatten().collect();
    // Nothing is drawn further below the rest than rounding reaches.
    let most = lines.iter().flat_map(|line| &line.0).fold(1e-30f64, |most, &value| most.max(value));
    let log = |value: f64| value.max(most * 1e-8).log10();
    let (width, height) = (320.0, 180.0);
    let (left, right, top, bottom) = (40.0, 8.0, 18.0, 32.0);
    let bands = lines.iter().map(|line| line.0.len()).max().unwrap_or(1);
    let x = Side::new([0.0, (bands.max(2) - 1) as f64].into_iter(), left, width - right);
    let y = Side::new(lines.iter().flat_map(|line| line.0.iter().map(|&v| log(v))), height - bottom, top);
    html! {
        svg.chart viewBox={ "0 0 " (width) " " (height) } role="img" {
            title { "Energy against DCT band" }
            @for tick in y.ticks() {
                line.axis x1=(left) x2=(width - right) y1=(px(y.at(tick))) y2=(px(y.at(tick))) {}
                text x=(left - 4.0) y=(px(y.at(tick) + 4.0)) text-anchor="end" { "10^" (short(tick)) }
            }
            @for tick in x.ticks().into_iter().filter(|tick| tick.fract() == 0.0) {
                text x=(px(x.at(tick))) y=(height - bottom + 14.0) text-anchor="middle" { (short(tick)) }
            }
            text x="2" y="10" { "energy" }
            text x=(px((left + width - right) / 2.0)) y=(height - 4.0) text-anchor="middle" { "band of the DCT" }
            @if let Some(nyquist) = scale.nyquist {
                line.zero x1=(px(x.at(nyquist as f64))) x2=(px(x.at(nyquist as f64))) y1=(top) y2=(height - bottom) {
                    title { "first band that the scale before cannot hold" }
                }
            }
            @for (i, line) in lines.iter().enumerate() {
                @let path: Vec<String> = line.0.iter().enumerate().map(|(r, &v)| format!("{},{}", px(x.at(r as f64)), px(y.at(log(v))))).collect();
                polyline.line points=(path.join(" ")) stroke=(colour(i)) { title { (NAMES[i]) } }
            }
        }
    }
}
