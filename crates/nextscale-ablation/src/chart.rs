//! Line charts as SVG: the figures of reports, and separate files.

use maud::{Markup, PreEscaped, html};

use crate::numbers::number;

/// The colours of text, background, rules and lines, for light and dark: eight hues that most eyes can
/// distinguish, one set per background. Further lines are dashed.
pub(crate) const COLOURS: &str = "
:root { color-scheme: light dark; --ground: #fff; --card: #f6f7f9; --ink: #16181d; --soft: #5d6470; --rule: #d5d9e0;
  --good: #0b6b57; --bad: #b3401a;
  --c0: #0b6fb8; --c1: #c25700; --c2: #00805a; --c3: #a43d87; --c4: #8a6d00; --c5: #4a55c9; --c6: #b3261e; --c7: #3f7d8c; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14161a; --card: #1d2026; --ink: #e6e8ec; --soft: #9aa2af; --rule: #363b45;
    --good: #4fd0b0; --bad: #ff9a6b;
    --c0: #5db4f0; --c1: #f29a4a; --c2: #3fc596; --c3: #e08cc6; --c4: #d9bd45; --c5: #9aa4ff; --c6: #ff8a80; --c7: #7cc4d4; } }
";

/// The settings of charts.
pub(crate) const STROKES: &str = "
svg text { fill: var(--soft); font-size: 11px; font-family: inherit; }
svg .axis { stroke: var(--rule); }
svg .zero { stroke: var(--soft); stroke-dasharray: 3 3; }
svg .line { fill: none; stroke-width: 1.8; }
svg .cross { stroke-width: 1.2; opacity: .55; }
svg .label { fill: var(--ink); paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
svg .name { fill: var(--ink); }
";

const HUES: usize = 8;

/// A line of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// The number of its colour and dashes; `None` for the colour of text.
    pub style: Option<usize>,
    /// Its points `(x, y)`, from left to right.
    pub points: Vec<(f64, f64)>,
    /// Separate points in its colour, plotted as rings.
    pub marks: Vec<(f64, f64)>,
}

impl Line {
    /// A line without marks.
    pub fn new(name: impl Into<String>, style: Option<usize>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), style, points, marks: Vec::new() }
    }

    pub(crate) fn colour(&self) -> String {
        self.style.map_or("var(--ink)".into(), |style| format!("var(--c{})", style % HUES))
    }

    pub(crate) fn dashes(&self) -> &'static str {
        ["none", "6 3", "2 3", "9 3 2 3"][self.style.map_or(0, |style| style / HUES) % 4]
    }
}

/// Where values are along a side of the chart.
pub(crate) struct Side {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Side {
    /// From the smallest to the largest of the values, slightly wider if they are equal.
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

    /// The position of a value.
    pub fn at(&self, value: f64) -> f64 {
        // In halves, because the whole range may overflow.
        self.from
            + (value / 2.0 - self.low / 2.0) / (self.high / 2.0 - self.low / 2.0) * (self.to - self.from)
    }

    /// Round values in the range, two to six of them.
    pub fn ticks(&self) -> Vec<f64> {
        let rough = self.high / 5.0 - self.low / 5.0;
        let magnitude = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * magnitude).into_iter().find(|&step| step >= rough);
        let step = step.unwrap_or(rough);
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }
}

/// A position, short enough to be readable in the source.
pub(crate) fn px(value: f64) -> String {
    format!("{value:.1}")
}

/// The label of a tick.
pub(crate) fn short(value: f64) -> String {
    let text = number(value);
    if text.contains('.') && !text.contains('e') {
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        text
    }
}

/// Lines over common axes; `level` draws a dashed line at a meaningful height.
pub(crate) fn chart(lines: &[Line], x_name: &str, y_name: &str, level: Option<f64>) -> Markup {
    sized(lines, x_name, y_name, level, (520.0, 290.0))
}

/// The same for charts side by side: letters keep their size.
pub(crate) fn small_chart(lines: &[Line], x_name: &str, y_name: &str) -> Markup {
    sized(lines, x_name, y_name, None, (340.0, 230.0))
}

fn sized(
    lines: &[Line],
    x_name: &str,
    y_name: &str,
    level: Option<f64>,
    (width, height): (f64, f64),
) -> Markup {
    html! {
        svg.chart viewBox={ "0 0 " (width) " " (height) } role="img" {
            title { (y_name) " against " (x_name) }
            (plot(lines, x_name, y_name, level, (width, height)))
        }
    }
}

/// Axes and lines, within a rectangle at the origin.
fn plot(
    lines: &[Line],
    x_name: &str,
    y_name: &str,
    level: Option<f64>,
    (width, height): (f64, f64),
) -> Markup {
    let (left, right, top, bottom) = (48.0, 20.0, 22.0, 36.0);
    let points = || lines.iter().flat_map(|line| line.points.iter().chain(&line.marks).copied());
    let x = Side::new(points().map(|p| p.0), left, width - right);
    let y = Side::new(points().map(|p| p.1).chain(level), height - bottom, top);
    html! {
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
            @for mark in &line.marks {
                circle.line cx=(px(x.at(mark.0))) cy=(px(y.at(mark.1))) r="3.5" stroke=(line.colour()) {
                    title { (line.name) }
                }
            }
        }
    }
}

/// A chart as an SVG file, with its legend below; `marks` explains the rings. It draws its own background,
/// light or dark by the viewer's preference.
pub fn svg(title: &str, lines: &[Line], x_name: &str, y_name: &str, marks: &str) -> String {
    let (width, height, row) = (680.0, 400.0, 18.0);
    // The approximate width of letters; a slightly loose legend does no harm.
    let wide = |name: &str| 50.0 + 6.5 * name.chars().count() as f64;
    let (mut x, mut y) = (48.0, height + row);
    let mut places = Vec::new();
    let rings = lines.iter().any(|line| !line.marks.is_empty());
    for name in lines.iter().map(|line| line.name.as_str()).chain(rings.then_some(marks)) {
        if x > 48.0 && x + wide(name) > width {
            (x, y) = (48.0, y + row);
        }
        places.push((x, y));
        x += wide(name);
    }
    let whole = y + row;
    let markup = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(whole) viewBox={ "0 0 " (width) " " (whole) }
            font-family="system-ui, sans-serif" role="img" {
            title { (title) }
            style { (PreEscaped(COLOURS)) (PreEscaped(STROKES)) }
            rect width="100%" height="100%" fill="var(--ground)" {}
            (plot(lines, x_name, y_name, None, (width, height)))
            @for (line, (x, y)) in lines.iter().zip(&places) {
                line x1=(px(*x)) x2=(px(x + 26.0)) y1=(px(y - 4.0)) y2=(px(y - 4.0)) stroke-width="3" stroke=(line.colour())
                    stroke-dasharray=(line.dashes()) {}
                text x=(px(x + 32.0)) y=(px(*y)) { (line.name) }
            }
            @if let (true, Some((x, y))) = (rings, places.last()) {
                circle.line cx=(px(x + 13.0)) cy=(px(y - 4.0)) r="3.5" stroke="var(--soft)" {}
                text x=(px(x + 32.0)) y=(px(*y)) { (marks) }
            }
        }
    };
    markup.into_string() + "\n"
}

/// The legend of the lines.
pub(crate) fn legend(lines: &[Line]) -> Markup {
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
    fn a_file_has_axes_a_legend_that_wraps_and_both_grounds() {
        let lines: Vec<Line> = (0..12)
            .map(|i| Line::new(format!("scale_{i} <&>"), Some(i), vec![(0.0, 1.0), (100.0, i as f64)]))
            .collect();
        let mut marked = lines.clone();
        marked[1].marks.push((50.0, 3.0));
        let text = svg("a.csv", &marked, "step", "loss", "held out");
        for part in [
            "xmlns=",
            ">step<",
            ">loss<",
            "scale_11 &lt;&amp;&gt;",
            ">held out<",
            "color-scheme: dark",
            ">100<",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!((text.matches("<polyline").count(), text.matches("<circle").count()), (12, 2));
        let plain = svg("a.csv", &lines, "step", "loss", "held out");
        assert!(!plain.contains("held out") && !plain.contains("<circle"));
        // Every entry of the legend is inside.
        let inside = |at: &str| at.split('"').next().unwrap().parse::<f64>().unwrap() < 600.0;
        assert!(plain.split("<text x=\"").skip(1).filter(|at| at.contains("scale_")).all(inside));
    }

    #[test]
    fn equal_or_missing_values_still_have_a_place() {
        for values in [vec![], vec![3.0], vec![0.0, 0.0], vec![f64::NAN]] {
            let side = Side::new(values.into_iter(), 0.0, 1.0);
            assert!(side.at(0.5).is_finite() && !side.ticks().is_empty());
        }
    }
}
