//! The loss log: a CSV file with one row every few steps.

use std::fs::File;
use std::path::{Path, PathBuf};

use nextscale_files::write_atomically;

use crate::{Error, Result};

/// The column of the seconds since the run's start, not counting interruptions.
pub const SECONDS: &str = "seconds";

/// An open CSV log, whose first column is the number of steps done.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    columns: Vec<String>,
    /// The values of the last row kept.
    last: Vec<f64>,
    writer: csv::Writer<File>,
}

impl Log {
    /// Opens the log at `path`, keeping the rows up to step `done` of an interrupted run (none if 0). A log
    /// of an earlier version, without the column `SECONDS`, gets the column, with no numbers in existing
    /// rows.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read or written, [`Error::Data`] if an existing log has other columns.
    pub fn open(path: &Path, columns: &[String], done: u64) -> Result<Self> {
        let mut rows = csv::Writer::from_writer(Vec::new());
        let mut last = Vec::new();
        let header = std::iter::once("step").chain(columns.iter().map(String::as_str));
        rows.write_record(header.clone()).map_err(|error| torn(path, &error))?;
        if done > 0 && path.exists() {
            let mut reader = csv::Reader::from_path(path).map_err(|error| torn(path, &error))?;
            let found = reader.headers().map_err(|error| torn(path, &error))?;
            let untimed = header.clone().filter(|name| *name != SECONDS);
            let lacks_seconds = found.len() < columns.len() + 1 && found.iter().eq(untimed);
            let at = header.clone().position(|name| name == SECONDS).filter(|_| lacks_seconds);
            if !lacks_seconds && !found.iter().eq(header) {
                return Err(Error::data(path, "has other columns than this run; move it away"));
            }
            for row in reader.records() {
                // A row that was cut off when the run was killed is after the checkpoint.
                let Ok(row) = row else { break };
                if row[0].parse::<u64>().is_ok_and(|step| step <= done) {
                    let mut fields: Vec<&str> = row.iter().collect();
                    if let Some(at) = at {
                        fields.insert(at, "NaN");
                    }
                    last = fields.iter().skip(1).map(|field| field.parse().unwrap_or(f64::NAN)).collect();
                    rows.write_record(&fields).map_err(|error| torn(path, &error))?;
                }
            }
        }
        let rows = rows.into_inner().map_err(|error| Error::data(path, error.to_string()))?;
        write_atomically(path, &rows).map_err(Error::io(path))?;
        let file = File::options().append(true).open(path).map_err(Error::io(path))?;
        Ok(Self {
            path: path.to_owned(),
            columns: columns.to_vec(),
            last,
            writer: csv::Writer::from_writer(file),
        })
    }

    /// The elapsed seconds in the last row kept; 0 if there are none.
    pub fn seconds(&self) -> f64 {
        let at = self.columns.iter().position(|name| name == SECONDS);
        let seconds = at.and_then(|at| self.last.get(at)).copied();
        seconds.filter(|seconds| seconds.is_finite()).unwrap_or(0.0)
    }

    /// Adds a row and flushes it to the file. `values` are in the order of the columns.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written, [`Error::Data`] if there are not as many values as columns.
    pub fn row(&mut self, step: u64, values: &[f64]) -> Result<()> {
        if values.len() != self.columns.len() {
            return Err(Error::data(
                &self.path,
                format!("{} values for {} columns", values.len(), self.columns.len()),
            ));
        }
        let fields =
            std::iter::once(step.to_string()).chain(values.iter().map(|value| format!("{value:.7}")));
        self.writer.write_record(fields).map_err(|error| torn(&self.path, &error))?;
        self.writer.flush().map_err(Error::io(&self.path))
    }
}

/// The contents of a log: `rows[i]` are the values after `steps[i]` steps, in the order of `columns`.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The columns' names, except that of the steps.
    pub columns: Vec<String>,
    /// Steps done, row by row.
    pub steps: Vec<f64>,
    /// The values, row by row.
    pub rows: Vec<Vec<f64>>,
}

impl Table {
    /// Reads a log, even while it is being written: an incomplete last row is left out.
    ///
    /// # Errors
    /// [`Error::Data`] if there is no log, or it has no rows.
    pub fn read(path: &Path) -> Result<Self> {
        let mut reader =
            csv::ReaderBuilder::new().flexible(true).from_path(path).map_err(|error| torn(path, &error))?;
        let header = reader.headers().map_err(|error| torn(path, &error))?.clone();
        if header.get(0) != Some("step") {
            return Err(Error::data(path, "is not the log of a training: its first column is not `step`"));
        }
        let columns: Vec<String> = header.iter().skip(1).map(String::from).collect();
        let (mut steps, mut rows) = (Vec::new(), Vec::new());
        for row in reader.records() {
            let row = row.map_err(|error| torn(path, &error))?;
            let values: Option<Vec<f64>> = row.iter().map(|field| field.parse().ok()).collect();
            match values.as_deref() {
                Some([step, values @ ..]) if values.len() == columns.len() => {
                    steps.push(*step);
                    rows.push(values.to_vec());
                }
                _ => break,
            }
        }
        if rows.is_empty() {
            return Err(Error::data(path, "has no row yet"));
        }
        Ok(Self { columns, steps, rows })
    }

    /// The columns that are losses: all except the other quantities that trainings log.
    pub fn losses(&self) -> Vec<&str> {
        let others = [
            "bit_entropy",
            "codes_used",
            "perplexity",
            "gradient_norm",
            "learning_rate",
            "images_per_second",
            SECONDS,
        ];
        self.columns.iter().map(String::as_str).filter(|name| !others.contains(name)).collect()
    }

    /// The points `(step, value)` of a column, without those that are not finite; `None` if there is no such
    /// column.
    pub fn points(&self, column: &str) -> Option<Vec<(f64, f64)>> {
        let at = self.columns.iter().position(|name| name == column)?;
        let points = self.steps.iter().zip(&self.rows).map(|(&step, row)| (step, row[at]));
        Some(points.filter(|(step, value)| step.is_finite() && value.is_finite()).collect())
    }
}

fn torn(path: &Path, error: &csv::Error) -> Error {
    Error::data(path, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resuming_drops_the_rows_after_the_checkpoint_and_a_torn_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        let columns = ["loss".to_owned(), "rate".to_owned()];
        let mut log = Log::open(&path, &columns, 0).unwrap();
        for step in [10, 20, 30] {
            log.row(step, &[0.5, step as f64]).unwrap();
        }
        drop(log);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}40,0.1")).unwrap();
        let mut log = Log::open(&path, &columns, 20).unwrap();
        log.row(30, &[0.25, 1.0]).unwrap();
        assert!(log.row(40, &[0.25]).is_err());
        let text = std::fs::read_to_string(&path).unwrap();
        let first: Vec<&str> = text.lines().map(|line| line.split(',').next().unwrap()).collect();
        assert_eq!(first, ["step", "10", "20", "30"]);
        assert!(Log::open(&path, &columns[..1], 20).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn seconds_go_on_and_a_log_without_them_gets_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        let columns = ["loss", "images_per_second", SECONDS].map(String::from);
        let mut log = Log::open(&path, &columns, 0).unwrap();
        assert_eq!(log.seconds(), 0.0);
        log.row(10, &[0.5, 7.0, 3.5]).unwrap();
        log.row(20, &[0.5, 7.0, 8.5]).unwrap();
        assert_eq!(Log::open(&path, &columns, 10).unwrap().seconds(), 3.5);
        let mut old = Log::open(&path, &columns[..2], 0).unwrap();
        old.row(10, &[0.5, 7.0]).unwrap();
        assert_eq!(Log::open(&path, &columns, 10).unwrap().seconds(), 0.0);
        let table = Table::read(&path).unwrap();
        assert_eq!(
            (table.points("loss").unwrap(), table.points(SECONDS).unwrap()),
            (vec![(10.0, 0.5)], vec![])
        );
        assert_eq!(table.losses(), ["loss"]);
    }

    #[test]
    fn a_log_is_read_back_without_a_torn_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        let columns = ["loss", "scale_0", "learning_rate"].map(String::from);
        let mut log = Log::open(&path, &columns, 0).unwrap();
        assert!(Table::read(&path).unwrap_err().to_string().contains("log.csv has no row yet"));
        log.row(10, &[0.5, 0.25, 1.0]).unwrap();
        log.row(20, &[f64::NAN, 0.125, 1.0]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}30,0.1")).unwrap();
        let table = Table::read(&path).unwrap();
        assert_eq!(table.losses(), ["loss", "scale_0"]);
        assert_eq!(table.points("loss").unwrap(), [(10.0, 0.5)]);
        assert_eq!(table.points("scale_0").unwrap(), [(10.0, 0.25), (20.0, 0.125)]);
        assert_eq!(table.points("other"), None);
        std::fs::write(&path, "epoch,loss\n1,2\n").unwrap();
        assert!(Table::read(&path).unwrap_err().to_string().contains("is not the log of a training"));
        assert!(Table::read(&folder.path().join("none.csv")).is_err());
    }
}
