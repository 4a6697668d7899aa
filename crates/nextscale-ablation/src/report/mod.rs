//! The results, as tables and as a page, which can be rebuilt from the disk at any time.

mod build;
mod costs;
mod csv;
mod findings;
mod html;
mod markdown;
mod scatter;
#[cfg(test)]
mod testing;
mod words;

pub use build::build;
pub use scatter::{Scatter, Scatters, Series};

use nextscale_files::write_atomically;
use serde::{Deserialize, Serialize};

use crate::cost::Times;
use crate::judge::Measure;
use crate::numbers;
use crate::stats::Difference;
use crate::store::{Manifest, Store};
use crate::why::Traced;
use crate::{Error, Result};

/// The contents of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was run.
    pub ablation: Manifest,
    /// How intervals were computed, in words.
    pub interval: String,
    /// What was measured.
    pub measures: Vec<Measured>,
    /// Two measures against each other.
    #[serde(default)]
    pub scatters: Vec<Scatter>,
    /// Curves over all cells.
    pub curves: Vec<Curve>,
    /// What happens at every scale, cell by cell; `None` for cells that were not analysed.
    pub traces: Vec<Option<Traced>>,
    /// Completions of given images, cell by cell.
    pub completions: Vec<Option<Vec<Completion>>>,
    /// The time per image, cell by cell.
    #[serde(default)]
    pub times: Vec<Option<Times>>,
}

/// A measure over all cells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The measure.
    #[serde(flatten)]
    pub measure: Measure,
    /// Whether it answers the question of the comparison, or only describes images.
    pub leads: bool,
    /// The index of the ablation's `measures` that it belongs to.
    pub of: usize,
    /// Features, reference and everything else that its values depend on.
    pub protocol: String,
    /// Why its values must not be compared with those of other numbers of images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caution: Option<String>,
    /// The values, cell by cell.
    pub values: Vec<Value>,
}

/// A measure of one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// The number to which differences refer: the mean over seeds if they are paired by seed, otherwise over
    /// the images of all seeds together.
    pub value: f64,
    /// Over the images of all seeds together.
    pub pooled: f64,
    /// Over the images of each seed.
    pub seeds: Vec<f64>,
    /// The 95 % interval of the value itself, over seeds or over resampled images, if there is one.
    #[serde(default)]
    pub interval: Option<(f64, f64)>,
    /// Cell minus baseline; `None` for the baseline itself.
    pub difference: Option<Difference>,
}

/// A curve of every cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// What it shows.
    pub title: String,
    /// The horizontal axis.
    pub x: String,
    /// The vertical axis.
    pub y: String,
    /// Its points, cell by cell.
    pub cells: Vec<Vec<(f64, f64)>>,
}

/// Completions from this many kept scales.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// The number of given scales.
    pub kept: usize,
    /// The root mean square difference of bytes to the given image, mean over images.
    pub distance: f64,
    /// Cell minus baseline, paired by image; `None` for the baseline itself.
    pub difference: Option<Difference>,
}

impl Report {
    /// Two measures against each other, replacing the report's own choice.
    ///
    /// # Errors
    /// If there is no measure or axis of that name.
    pub fn set_scatters(&mut self, scatters: &Scatters) -> Result<()> {
        if *scatters != Scatters::default() {
            self.scatters = scatters.find(&self.measures, &self.ablation)?;
        }
        Ok(())
    }

    /// Writes `report.md`, `measures.csv`, `cells.csv`, `report.json` and `report.html` into the folder, and
    /// every scatter as `report.scatter-N.svg`.
    ///
    /// # Errors
    /// If images cannot be read or a file cannot be written.
    pub fn write(&self, store: &Store) -> Result<()> {
        let json = serde_json::to_string_pretty(self)
            .map_err(|error| crate::Error::Usage(format!("the report cannot be written as JSON: {error}")))?;
        let mut files = vec![
            ("report.md".to_owned(), markdown::write(self)),
            ("measures.csv".into(), csv::write(self)?),
            ("cells.csv".into(), csv::cells(self)?),
            ("report.json".into(), json + "\n"),
            ("report.html".into(), html::write(self, store)?),
        ];
        let svgs = self.scatters.iter().enumerate();
        files.extend(svgs.map(|(i, scatter)| (format!("report.scatter-{}.svg", i + 1), scatter.svg(self))));
        files.iter().try_for_each(|(name, text)| {
            let path = store.root().join(name);
            write_atomically(&path, text.as_bytes()).map_err(Error::io("write", &path))
        })
    }

    /// The findings, in a few sentences.
    pub fn sentences(&self) -> Vec<String> {
        findings::sentences(self)
    }

    /// Every cell's differences in a few columns, for a terminal: measures with a better direction, or else
    /// all.
    pub fn summary(&self) -> String {
        let judges = |m: &&Measured| m.measure.better != crate::judge::Better::Neither;
        let mut shown: Vec<&Measured> = self.measures.iter().filter(judges).collect();
        if shown.is_empty() {
            shown = self.measures.iter().collect();
        }
        let marked = |m: &&Measured| m.measure.name.clone() + if m.caution.is_some() { " (!)" } else { "" };
        let head = std::iter::once(String::new()).chain(shown.iter().map(marked)).collect();
        let mut rows: Vec<Vec<String>> = vec![head];
        for (i, cell) in self.ablation.cells.iter().enumerate() {
            let value = |m: &&Measured| {
                let value = &m.values[i];
                let difference = value.difference.map_or(String::new(), |d| {
                    let interval = numbers::interval(&d).unwrap_or_default();
                    format!(" {} {interval}", numbers::signed(d.value))
                });
                numbers::number(value.value) + &difference
            };
            rows.push(std::iter::once(cell.name.clone()).chain(shown.iter().map(value)).collect());
        }
        let width = |c: usize| rows.iter().map(|row| row[c].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(text, width)| format!("{text:width$}"));
            format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        let table: String = rows.iter().map(line).collect();
        let caution = |m: &&Measured| Some(format!("  (!) {}\n", m.caution.as_ref()?));
        let mut cautions: Vec<String> = shown.iter().filter_map(caution).collect();
        cautions.dedup();
        table + &cautions.concat()
    }

    /// Whether a cell is the one that the others are compared with.
    fn is_baseline(&self, cell: usize) -> bool {
        cell == self.ablation.baseline
    }
}
