//! Line charts as SVG.

use maud::{Markup, html};

use crate::report::Report;
use crate::report::numbers::number;

/// A line of a chart.
pub(super) struct Line {
    name: String,
    /// Which of the cells it is, for its colour; none for the baseline, which has the colour of text.
    style: Option<usize>,
    points: Vec<(f64, f64)>,
}

const HUES: usize = 8;

impl Line {
    /// The line of a cell.
    pub fn of(report: &Report, cell: usize, points: Vec<(f64, f64)>) -> Self {
        let style = (!report.is_baseline(cell))
            .then(|| if cell > report.ablation.baseline { cell - 1 } else { cell });
        Self { name: report.ablation.cells[cell].name.clone(), style, points }
    }

    fn colour(&self) -> String {
        self.style.map_or("var(--ink)".into(), |style| format!("var(--c{})", style % HUES))
    }

    fn dashes(&self) -> &'static str {
        ["none", "6 3", "2 3", "9 3 2 3"][self.style.map_or(0, |style| style / HUES) % 4]
    }
}

/// Where values stand on a side of the chart.
pub(super) struct Side {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Side {
    /// From the least to the greatest of the values, a little wider where they are all the same.
    pub fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut low, mut high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if high - low < 1e-12 * high.abs().max(1e-12) {
            let room = if high == 0.0 { 1.0 } else { high.abs() * 0.1 };
            (low, high) = (low - room, high + room);
        }
        Self { low, high, from, to }
    }

    /// The place of a value.
    pub fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round values on it, from two to six.
    pub fn ticks(&self) -> Vec<f64> {
        let rough = (self.high - self.low) / 5.0;
        let magnitude = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * magnitude).into_iter().find(|&step| step >= rough);
        let step = step.unwrap_or(rough);
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }
}

/// A place, short enough to be read in a source.
pub(super) fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// A tick in few digits.
pub(super) fn short(value: f64) -> String {
    let text = number(value);
    if text.contains('.') && !text.contains('e') {
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        text
    }
}

/// Lines over common axes; `level` draws a dashed line at a height that means something.
pub(super) fn chart(lines: &[Line], x_name: &str, y_name: &str, level: Option<f64>) -> Markup {
    let (width, height) = (460.0, 270.0);
    let (left, right, top, bottom) = (48.0, 8.0, 22.0, 36.0);
    let points = || lines.iter().flat_map(|line| line.points.iter().copied());
    let x = Side::new(points().map(|p| p.0), left, width - right);
    let y = Side::new(points().map(|p| p.1).chain(level), height - bottom, top);
    html! {
        svg.chart viewBox={ "0 0 " (width) " " (height) } role="img" {
            title { (y_name) " against " (x_name) }
            @for tick in y.ticks() {
                line.axis x1=(left) x2=(width - right) y1=(px(y.at(tick))) y2=(px(y.at(tick))) {}
                text x=(left - 5.0) y=(px(y.at(tick) + 4.0)) text-anchor="end" { (short(tick)) }
            }
            @for tick in x.ticks() {
                text x=(px(x.at(tick))) y=(height - bottom + 16.0) text-anchor="middle" { (short(tick)) }
            }
            text x=(px((left + width - right) / 2.0)) y=(height - 4.0) text-anchor="middle" { (x_name) }
            text x="2" y="12" { (y_name) }
            @if let Some(level) = level {
                line.zero x1=(left) x2=(width - right) y1=(px(y.at(level))) y2=(px(y.at(level))) {}
            }
            @for line in lines {
                @let path: Vec<String> = line.points.iter().map(|p| format!("{},{}", px(x.at(p.0)), px(y.at(p.1)))).collect();
                polyline.line points=(path.join(" ")) stroke=(line.colour()) stroke-dasharray=(line.dashes()) {
                    title { (line.name) }
                }
            }
        }
    }
}

/// What the lines are.
pub(super) fn legend(lines: &[Line]) -> Markup {
    html! {
        div.legend {
            @for line in lines {
                span {
                    svg viewBox="0 0 26 8" aria-hidden="true" {
                        line x1="0" x2="26" y1="4" y2="4" stroke-width="3" stroke=(line.colour()) stroke-dasharray=(line.dashes()) {}
                    }
                    (line.name)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let side = Side::new([0.13, 0.97].into_iter(), 0.0, 100.0);
        let ticks: Vec<String> = side.ticks().into_iter().map(short).collect();
        assert_eq!(ticks, ["0.2", "0.4", "0.6", "0.8"]);
        let side = Side::new([1.0, 6.0].into_iter(), 0.0, 100.0);
        assert_eq!(side.ticks(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!((side.at(1.0), side.at(6.0)), (0.0, 100.0));
    }

    #[test]
    fn equal_or_missing_values_still_have_a_place() {
        for values in [vec![], vec![3.0], vec![0.0, 0.0], vec![f64::NAN]] {
            let side = Side::new(values.into_iter(), 0.0, 1.0);
            assert!(side.at(0.5).is_finite() && !side.ticks().is_empty());
        }
    }
}
