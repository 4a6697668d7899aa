//! Scatter plots as SVG: points with intervals as crosses, joined along an axis.

use maud::{Markup, PreEscaped, html};

use crate::chart::{COLOURS, Line, STROKES, Side, px, short};

/// A point.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mark {
    /// Where it is.
    pub at: (f64, f64),
    /// Its horizontal and vertical intervals, if any.
    pub intervals: [Option<(f64, f64)>; 2],
    /// The label next to it, if any.
    pub label: String,
    /// Its full description.
    pub name: String,
}

/// Points that are joined.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path {
    /// Its name in the legend.
    pub name: String,
    /// The number of its colour and dashes; `None` for the colour of text.
    pub style: Option<usize>,
    /// Its points, in order.
    pub marks: Vec<Mark>,
}

impl Path {
    fn line(&self) -> Line {
        Line::new(&self.name, self.style, self.marks.iter().map(|mark| mark.at).collect())
    }
}

const SIZE: (f64, f64) = (640.0, 400.0);
/// The approximate width and height of a label's letters.
const LETTER: (f64, f64) = (6.2, 12.0);

/// The chart without a legend.
pub(crate) fn plot(paths: &[Path], x_name: &str, y_name: &str) -> Markup {
    html! {
        svg.chart.scatter viewBox={ "0 0 " (SIZE.0) " " (SIZE.1) } role="img" {
            title { (y_name) " against " (x_name) }
            (inside(paths, x_name, y_name))
        }
    }
}

/// The lines in the legend.
pub(crate) fn lines(paths: &[Path]) -> Vec<Line> {
    paths.iter().map(Path::line).collect()
}

/// The chart as a separate file, with a legend. It draws its own background, light or dark by the viewer's
/// preference.
pub(crate) fn file(title: &str, paths: &[Path], x_name: &str, y_name: &str) -> String {
    let row = 18.0;
    let whole = SIZE.1 + row * (paths.len() as f64 + 0.5);
    let markup = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(SIZE.0) height=(whole) viewBox={ "0 0 " (SIZE.0) " " (whole) }
            font-family="system-ui, sans-serif" role="img" {
            title { (title) }
            style { (PreEscaped(COLOURS)) (PreEscaped(STROKES)) }
            rect width="100%" height="100%" fill="var(--ground)" {}
            (inside(paths, x_name, y_name))
            @for (i, path) in paths.iter().enumerate() {
                @let (y, line) = (SIZE.1 + row * (i as f64 + 0.7), path.line());
                line x1="60" x2="86" y1=(px(y - 4.0)) y2=(px(y - 4.0)) stroke-width="3" stroke=(line.colour())
                    stroke-dasharray=(line.dashes()) {}
                text x="94" y=(px(y)) { (path.name) }
            }
        }
    };
    markup.into_string() + "\n"
}

fn inside(paths: &[Path], x_name: &str, y_name: &str) -> Markup {
    let (width, height) = SIZE;
    let (left, right, top, bottom) = (60.0, 24.0, 26.0, 44.0);
    let all = || paths.iter().flat_map(|path| &path.marks);
    let extent = |side: usize| {
        let of = move |mark: &Mark| {
            let at = if side == 0 { mark.at.0 } else { mark.at.1 };
            let (low, high) = mark.intervals[side].unwrap_or((at, at));
            [at, low, high]
        };
        all().flat_map(of).collect::<Vec<_>>()
    };
    let x = Side::new(extent(0).into_iter(), left + 12.0, width - right - 12.0);
    let y = Side::new(extent(1).into_iter(), height - bottom - 12.0, top + 12.0);
    let spots: Vec<(f64, f64)> = all().map(|mark| (x.at(mark.at.0), y.at(mark.at.1))).collect();
    let labels: Vec<&str> = all().map(|mark| mark.label.as_str()).collect();
    let mut places = places(&spots, &labels, (left, width - right)).into_iter();
    html! {
        @for tick in y.ticks() {
            line.axis x1=(left) x2=(width - right) y1=(px(y.at(tick))) y2=(px(y.at(tick))) {}
            text x=(left - 6.0) y=(px(y.at(tick) + 4.0)) text-anchor="end" { (short(tick)) }
        }
        @for tick in x.ticks() {
            line.axis x1=(px(x.at(tick))) x2=(px(x.at(tick))) y1=(top) y2=(height - bottom) {}
            text x=(px(x.at(tick))) y=(height - bottom + 16.0) text-anchor="middle" { (short(tick)) }
        }
        text.name x=(px((left + width - right) / 2.0)) y=(height - 6.0) text-anchor="middle" { (x_name) }
        text.name x="2" y="14" { (y_name) }
        @for path in paths {
            @let line = path.line();
            @for mark in &path.marks {
                @let (cx, cy) = (x.at(mark.at.0), y.at(mark.at.1));
                @if let Some((low, high)) = mark.intervals[0] {
                    line.cross x1=(px(x.at(low))) x2=(px(x.at(high))) y1=(px(cy)) y2=(px(cy)) stroke=(line.colour()) {}
                }
                @if let Some((low, high)) = mark.intervals[1] {
                    line.cross x1=(px(cx)) x2=(px(cx)) y1=(px(y.at(low))) y2=(px(y.at(high))) stroke=(line.colour()) {}
                }
            }
            @let points: Vec<String> = path.marks.iter().map(|mark| format!("{},{}", px(x.at(mark.at.0)), px(y.at(mark.at.1)))).collect();
            @if points.len() > 1 {
                polyline.line points=(points.join(" ")) stroke=(line.colour()) stroke-dasharray=(line.dashes()) {}
            }
        }
        @for path in paths {
            @let colour = path.line().colour();
            @for mark in &path.marks {
                circle cx=(px(x.at(mark.at.0))) cy=(px(y.at(mark.at.1))) r="4.5" fill=(colour) stroke="var(--card)" stroke-width="1.5" {
                    title { (mark.name) ": " (short(mark.at.0)) ", " (short(mark.at.1)) }
                }
                @if let Some((at, anchor)) = places.next().filter(|_| !mark.label.is_empty()) {
                    text.label x=(px(at.0)) y=(px(at.1)) text-anchor=(anchor) { (mark.label) }
                }
            }
        }
    }
}

/// Where labels are placed next to their points: at the first of several places where they cover no point and
/// no earlier label, or else where they cover fewest.
fn places(
    spots: &[(f64, f64)],
    labels: &[&str],
    (left, right): (f64, f64),
) -> Vec<((f64, f64), &'static str)> {
    let mut taken: Vec<[f64; 4]> = Vec::new();
    let near = |&(x, y): &(f64, f64)| [x - 5.0, y - 5.0, x + 5.0, y + 5.0];
    let points: Vec<[f64; 4]> = spots.iter().map(near).collect();
    let mut found = Vec::new();
    for (&(x, y), label) in spots.iter().zip(labels) {
        let (width, height) = (LETTER.0 * label.chars().count() as f64, LETTER.1);
        let tries = [
            ((x + 9.0, y - 6.0), "start", [x + 9.0, y - 6.0 - height]),
            ((x + 9.0, y + 14.0), "start", [x + 9.0, y + 14.0 - height]),
            ((x - 9.0, y - 6.0), "end", [x - 9.0 - width, y - 6.0 - height]),
            ((x - 9.0, y + 14.0), "end", [x - 9.0 - width, y + 14.0 - height]),
            ((x, y - 12.0), "middle", [x - width / 2.0, y - 12.0 - height]),
            ((x, y + 22.0), "middle", [x - width / 2.0, y + 22.0 - height]),
        ];
        let covers = |corner: [f64; 2]| {
            let own = [corner[0], corner[1], corner[0] + width, corner[1] + height];
            let meets = |other: &&[f64; 4]| {
                own[0] < other[2] && other[0] < own[2] && own[1] < other[3] && other[1] < own[3]
            };
            let outside = usize::from(own[0] < left || own[2] > right) * 10;
            taken.iter().chain(&points).filter(meets).count() + outside
        };
        let best = tries.into_iter().min_by_key(|(_, _, corner)| covers(*corner));
        let (at, anchor, corner) = best.unwrap_or(((x, y), "start", [x, y]));
        if !label.is_empty() {
            taken.push([corner[0], corner[1], corner[0] + width, corner[1] + height]);
        }
        found.push((at, anchor));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(at: (f64, f64), label: &str) -> Mark {
        let around = |value: f64| Some((value - 1.0, value + 2.0));
        Mark { at, intervals: [around(at.0), around(at.1)], label: label.into(), name: label.into() }
    }

    #[test]
    fn points_have_crosses_labels_and_a_line() {
        let paths = [
            Path {
                name: "cfg".into(),
                style: Some(0),
                marks: vec![mark((1.0, 5.0), "0.5"), mark((3.0, 9.0), "2")],
            },
            Path { name: "none <".into(), style: None, marks: vec![mark((2.0, 2.0), "")] },
        ];
        let text = plot(&paths, "FD", "accuracy").into_string();
        assert_eq!(text.matches("class=\"cross\"").count(), 6);
        assert_eq!(text.matches("<circle").count(), 3);
        // A single point is joined to nothing.
        assert_eq!(text.matches("<polyline").count(), 1);
        assert_eq!(text.matches("class=\"label\"").count(), 2);
        let file = file("t", &paths, "FD", "accuracy");
        assert!(file.contains("none &lt;") && file.contains("color-scheme: dark"), "{file}");
        // Without intervals there are no crosses.
        let bare = Mark { intervals: [None, None], ..mark((1.0, 1.0), "a") };
        let bare = plot(&[Path { name: "a".into(), style: None, marks: vec![bare] }], "x", "y").into_string();
        assert!(!bare.contains("class=\"cross\"") && !bare.contains("NaN"), "{bare}");
    }

    #[test]
    fn labels_keep_off_each_other() {
        let spots = [(100.0, 100.0), (104.0, 102.0), (108.0, 98.0)];
        let found = places(&spots, &["0.25", "0.5", "1"], (0.0, 640.0));
        for (i, a) in found.iter().enumerate() {
            for b in &found[..i] {
                assert!((a.0.0 - b.0.0).abs() > 6.0 || (a.0.1 - b.0.1).abs() > 6.0, "{found:?}");
            }
        }
        // Nor do they leave the chart.
        assert_eq!(places(&[(630.0, 50.0)], &["a long label"], (0.0, 640.0))[0].1, "end");
    }
}
