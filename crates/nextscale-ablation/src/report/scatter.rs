//! Two measures against each other, cells of one variant joined along an axis.

use serde::{Deserialize, Serialize};

use super::words::better;
use super::{Measured, Report};
use crate::judge::Better;
use crate::scatter::{Mark, Path, file, plot};
use crate::store::{Manifest, Planned};
use crate::{Error, Result};

/// The longest name that is written next to a cell's point.
const NAME: usize = 20;

/// Two measures of every cell, and which cells are joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scatter {
    /// The horizontal measure, as an index into the report's measures.
    pub x: usize,
    /// The vertical measure.
    pub y: usize,
    /// The cells.
    pub series: Vec<Series>,
}

/// Cells that differ only by their value on one axis, or a single cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// Their common name.
    pub name: String,
    /// The path of the axis along which they are joined.
    pub along: Option<String>,
    /// The cells by number, and their value on the axis.
    pub points: Vec<(usize, String)>,
}

/// Requested scatter plots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scatters {
    /// Measures by name, horizontal and vertical; empty for the report's own choice.
    pub pairs: Vec<(String, String)>,
    /// The axis along which points are joined, by path or its last parts; `None` for each variant's first.
    pub along: Option<String>,
}

impl Scatters {
    /// Checks that the measures exist, and that the axis is among the swept paths.
    ///
    /// # Errors
    /// If they do not; the message lists what exists.
    pub fn check(&self, measures: &[String], swept: &[String]) -> Result<()> {
        let mut names = self.pairs.iter().flat_map(|(x, y)| [x, y]);
        if let Some(unknown) = names.find(|name| !measures.contains(name)) {
            let known: Vec<String> = measures.iter().map(|name| format!("`{name}`")).collect();
            let known = known.join(", ");
            return Err(Error::Usage(format!("no measure `{unknown}` for a scatter; available: {known}")));
        }
        match &self.along {
            Some(along) if !swept.iter().any(|path| is(path, along)) => {
                let mut axes: Vec<&str> = swept.iter().map(String::as_str).collect();
                axes.sort_unstable();
                axes.dedup();
                let known = if axes.is_empty() { "none was swept".into() } else { axes.join(", ") };
                Err(Error::Usage(format!("no axis `{along}` to join points along; available: {known}")))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn find(&self, measures: &[Measured], ablation: &Manifest) -> Result<Vec<Scatter>> {
        let names: Vec<String> = measures.iter().map(|measured| measured.measure.name.clone()).collect();
        let swept = ablation.cells.iter().flat_map(|cell| &cell.swept).map(|(path, _)| path.clone());
        self.check(&names, &swept.collect::<Vec<_>>())?;
        let along = self.along.as_deref();
        let series = series(ablation, along);
        if self.pairs.is_empty() {
            let chosen = Scatter::chosen(measures, ablation).into_iter();
            return Ok(chosen.map(|scatter| Scatter { series: series.clone(), ..scatter }).collect());
        }
        let place = |name: &String| names.iter().position(|known| known == name).unwrap_or_default();
        let scatter =
            |(x, y): &(String, String)| Scatter { x: place(x), y: place(y), series: series.clone() };
        Ok(self.pairs.iter().map(scatter).collect())
    }
}

impl Scatter {
    /// The default: the first leading measure against the accuracy of a probe, or else against recall.
    pub(super) fn chosen(measures: &[Measured], ablation: &Manifest) -> Vec<Self> {
        let ways = |measured: &Measured| measured.measure.better != Better::Neither;
        let named =
            |start: &str| measures.iter().position(|measured| measured.measure.name.starts_with(start));
        let Some(x) = measures.iter().position(|measured| measured.leads && ways(measured)) else {
            return Vec::new();
        };
        let first = ["Probe accuracy", "Recall", "Diversity"].into_iter().filter_map(named).find(|&y| y != x);
        let Some(y) = first.filter(|_| ablation.cells.len() > 1) else { return Vec::new() };
        vec![Self { x, y, series: series(ablation, None) }]
    }

    /// The chart, for a page.
    pub(super) fn chart(&self, report: &Report) -> maud::Markup {
        let (x, y) = self.axes(report);
        plot(&self.paths(report), &x, &y)
    }

    /// The chart, as a file.
    pub(super) fn svg(&self, report: &Report) -> String {
        let (x, y) = self.axes(report);
        file(&format!("{}: {y} against {x}", report.ablation.name), &self.paths(report), &x, &y)
    }

    fn axes(&self, report: &Report) -> (String, String) {
        let name = |measure: usize| {
            let measure = &report.measures[measure].measure;
            format!("{} ({})", measure.name, better(measure.better))
        };
        (name(self.x), name(self.y))
    }

    /// The drawing: the baseline in the colour of text.
    pub(super) fn paths(&self, report: &Report) -> Vec<Path> {
        let mut style = 0;
        let path = |series: &Series| {
            let is_base =
                series.points.iter().any(|(cell, _)| report.is_baseline(*cell)) && series.points.len() == 1;
            let own = (!is_base).then(|| {
                style += 1;
                style - 1
            });
            let mark = |(cell, label): &(usize, String)| {
                let value = |measure: usize| &report.measures[measure].values[*cell];
                let name = report.ablation.cells[*cell].name.clone();
                let short = name.chars().count() <= NAME;
                Mark {
                    at: (value(self.x).value, value(self.y).value),
                    intervals: [value(self.x).interval, value(self.y).interval],
                    label: if label.is_empty() && short { name.clone() } else { label.clone() },
                    name,
                }
            };
            Path { name: series.name.clone(), style: own, marks: series.points.iter().map(mark).collect() }
        };
        self.series.iter().map(path).collect()
    }
}

/// Whether a path is the named one, in full or by its last parts.
fn is(path: &str, named: &str) -> bool {
    path == named || path.strip_suffix(named).is_some_and(|before| before.ends_with('.'))
}

/// Cells of a variant that differ along one axis only: the named axis, or the variant's first with more than
/// one value.
fn series(ablation: &Manifest, along: Option<&str>) -> Vec<Series> {
    let axis = |cell: &Planned| -> Option<String> {
        let several = |path: &str| {
            let values = ablation.cells.iter().filter(|other| other.variant == cell.variant);
            let mut values: Vec<&str> = values.filter_map(|other| value_at(other, path)).collect();
            values.sort_unstable();
            values.dedup();
            values.len() > 1
        };
        let wanted = |path: &&String| along.map_or_else(|| several(path), |along| is(path, along));
        cell.swept.iter().map(|(path, _)| path).find(wanted).cloned()
    };
    /// Cells with the same other values and variant, in one series.
    type Joined = (Vec<(String, String)>, String, Series);
    let mut found: Vec<Joined> = Vec::new();
    for (number, cell) in ablation.cells.iter().enumerate() {
        let Some(path) = axis(cell) else {
            let points = vec![(number, String::new())];
            found.push((Vec::new(), String::new(), Series { name: cell.name.clone(), along: None, points }));
            continue;
        };
        let rest: Vec<(String, String)> =
            cell.swept.iter().filter(|(other, _)| *other != path).cloned().collect();
        let value = value_at(cell, &path).unwrap_or_default().to_owned();
        let same = |(r, variant, series): &&mut Joined| {
            *r == rest && *variant == cell.variant && series.along.as_ref() == Some(&path)
        };
        match found.iter_mut().find(same) {
            Some((_, _, series)) => series.points.push((number, value)),
            None => {
                let last = |path: &str| path.rsplit('.').next().unwrap_or(path).to_owned();
                let others = rest.iter().map(|(path, value)| format!("{} = {value}", last(path)));
                let name = std::iter::once(cell.variant.clone()).chain(others).collect::<Vec<_>>().join(", ");
                let name = format!("{name}, by {}", last(&path));
                let series = Series { name, along: Some(path), points: vec![(number, value)] };
                found.push((rest, cell.variant.clone(), series));
            }
        }
    }
    found.into_iter().map(|(_, _, series)| series).collect()
}

fn value_at<'a>(cell: &'a Planned, path: &str) -> Option<&'a str> {
    cell.swept.iter().find(|(other, _)| other == path).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::report;

    #[test]
    fn cells_of_a_variant_are_joined_along_what_was_swept() {
        let report = report();
        let [scatter] = &report.scatters[..] else { panic!("{:?}", report.scatters) };
        assert_eq!(report.measures[scatter.x].measure.name, "KID-Lite0");
        assert_eq!(report.measures[scatter.y].measure.name, "Probe accuracy-Lite0");
        let said: Vec<String> =
            scatter.series.iter().map(|series| format!("{}: {:?}", series.name, series.points)).collect();
        assert_eq!(
            said,
            [
                r#"none: [(0, "")]"#,
                r#"cfg, by scale: [(1, "0.5"), (2, "2")]"#,
                r#"control | zero: [(3, "")]"#,
            ]
        );
    }

    #[test]
    fn a_second_axis_makes_a_second_line() {
        let mut report = report();
        let cells = &mut report.ablation.cells;
        cells[0].variant = "cfg".into();
        cells[3].variant = "cfg".into();
        for (cell, (scale, top_k)) in cells.iter_mut().zip([("1", "0"), ("2", "0"), ("1", "9"), ("2", "9")]) {
            cell.swept =
                vec![("guidance.scale".into(), scale.into()), ("sampling.top_k".into(), top_k.into())];
        }
        let names = |along: Option<&str>| -> Vec<String> {
            series(&report.ablation, along).into_iter().map(|series| series.name).collect()
        };
        assert_eq!(names(None), ["cfg, top_k = 0, by scale", "cfg, top_k = 9, by scale"]);
        assert_eq!(names(Some("top_k")), ["cfg, scale = 1, by top_k", "cfg, scale = 2, by top_k"]);
        assert_eq!(names(Some("sampling.top_k")), names(Some("top_k")));
    }

    #[test]
    fn measures_and_axes_go_by_their_names() {
        let mut report = report();
        let asked = |x: &str, y: &str, along: Option<&str>| Scatters {
            pairs: vec![(x.to_owned(), y.to_owned())],
            along: along.map(str::to_owned),
        };
        report.set_scatters(&asked("FD-Lite0", "Probe accuracy-Lite0", Some("scale"))).unwrap();
        assert_eq!(report.measures[report.scatters[0].x].measure.name, "FD-Lite0");
        let svg = report.scatters[0].svg(&report);
        for part in
            ["xmlns=", "FD-Lite0 (lower is better)", ">0.5<", ">2<", "cfg, by scale", "control | zero"]
        {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        let along = Scatters { pairs: Vec::new(), along: Some("guidance.scale".into()) };
        report.set_scatters(&along).unwrap();
        assert_eq!(report.measures[report.scatters[0].x].measure.name, "KID-Lite0");
        let error = report.set_scatters(&asked("FID", "IS", None)).unwrap_err().to_string();
        assert!(error.contains("no measure `FID`") && error.contains("`KID-Lite0`"), "{error}");
        let error =
            report.set_scatters(&asked("FD-Lite0", "KID-Lite0", Some("beta"))).unwrap_err().to_string();
        assert!(error.contains("no axis `beta`") && error.contains("guidance.scale"), "{error}");
    }
}
