use std::fmt;

use serde::Serialize;

/// The smallest, median and largest measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// The median.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// From one value or more; without values, everything is 0.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (values.first(), values.last()) else {
            return Self { min: 0.0, median: 0.0, max: 0.0 };
        };
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Self { min, median, max }
    }
}

/// The seconds of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seconds {
    /// From conditions to pictures in host memory.
    pub whole: Spread,
    /// The transformer.
    pub backbone: Spread,
    /// The rule and its priors.
    pub guidance: Spread,
    /// Filtering and drawing.
    pub sampling: Spread,
    /// Embedding, accumulating, and the next scale's input.
    pub canvas: Spread,
    /// The canvas to pictures.
    pub decoding: Spread,
    /// The rest, which belongs to no part.
    pub rest: Spread,
}

impl Seconds {
    fn columns(&self) -> [(&'static str, Spread); 7] {
        [
            ("whole", self.whole),
            ("backbone", self.backbone),
            ("guidance", self.guidance),
            ("sampling", self.sampling),
            ("canvas", self.canvas),
            ("decoding", self.decoding),
            ("rest", self.rest),
        ]
    }
}

/// The measurements of a rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The rule's name.
    pub name: String,
    /// Over the runs.
    pub seconds: Seconds,
    /// Images per second of the whole.
    pub images_per_second: Spread,
}

/// What SSG costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SsgShare {
    /// The rule with SSG.
    pub with: String,
    /// The same rule without it.
    pub without: String,
    /// The guidance part relative to the whole, for the rule with SSG.
    pub guidance_share: Spread,
    /// The guidance part minus that of the rule without, run by run.
    pub added_seconds: Spread,
    /// The same relative to the whole.
    pub added_share: Spread,
}

/// What a rule costs beside the first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Beside {
    /// The rule.
    pub rule: String,
    /// The first rule.
    pub first: String,
    /// The rule's whole relative to the first rule's, run by run.
    pub ratio: Spread,
}

/// The measurements, and how they were made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchReport {
    /// The program's version.
    pub version: &'static str,
    /// The model.
    pub model: String,
    /// The device.
    pub device: String,
    /// What it computes with, in words.
    pub route: String,
    /// Threads of the CPU.
    pub threads: usize,
    /// Height and width in pixels.
    pub image_size: [usize; 2],
    /// Images per run.
    pub images: usize,
    /// Images at once.
    pub batch: usize,
    /// Measured runs per rule.
    pub runs: usize,
    /// Warm-up runs before those.
    pub warmup: usize,
    /// Seconds to read or create the weights.
    pub loading_seconds: f64,
    /// The peak memory of the process in bytes, if the system reports it; excludes GPU memory.
    pub peak_memory_bytes: Option<u64>,
    /// The rules.
    pub rows: Vec<Row>,
    /// The config's rules compared with its first.
    pub beside: Vec<Beside>,
    /// Rules with SSG compared with themselves without it.
    pub ssg: Vec<SsgShare>,
}

impl BenchReport {
    /// The report as JSON, ending in a newline.
    ///
    /// # Errors
    /// If serialisation fails, which is not expected.
    pub fn to_json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

fn counted(number: usize, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width] = self.image_size;
        let (threads, runs) = (counted(self.threads, "thread"), counted(self.runs, "run"));
        writeln!(f, "{} on {}, {threads}; route: {}", self.model, self.device, self.route)?;
        writeln!(
            f,
            "a run: {} of {width} × {height} pixels, {} at once; {runs} of each rule in turns, after {} to warm up",
            counted(self.images, "image"),
            self.batch,
            self.warmup
        )?;
        write!(f, "loading {:.2} s", self.loading_seconds)?;
        if let Some(bytes) = self.peak_memory_bytes {
            write!(f, ", peak memory of the process {:.2} GB", bytes as f64 / 1e9)?;
        }
        writeln!(f, "\n")?;
        let name = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(13);
        write!(f, "{:name$}        ", "seconds a run")?;
        if let Some(row) = self.rows.first() {
            row.seconds.columns().iter().try_for_each(|(column, _)| write!(f, "{column:>9}"))?;
        }
        writeln!(f, "{:>10}", "images/s")?;
        for row in &self.rows {
            let columns = row.seconds.columns();
            for (at, statistic) in ["min", "median", "max"].into_iter().enumerate() {
                let of = |spread: &Spread| [spread.min, spread.median, spread.max][at];
                let shown = if at == 0 { &*row.name } else { "" };
                write!(f, "{shown:name$}  {statistic:6}")?;
                columns.iter().try_for_each(|(_, spread)| write!(f, "{:>9.4}", of(spread)))?;
                writeln!(f, "{:>10.3}", of(&row.images_per_second))?;
            }
            write!(f, "{:name$}  {:6}", "", "share")?;
            for (_, spread) in columns {
                write!(f, "{:>7.1} %", 100.0 * spread.median / row.seconds.whole.median)?;
            }
            writeln!(f)?;
        }
        if !self.beside.is_empty() {
            writeln!(f)?;
        }
        for Beside { rule, first, ratio: Spread { min, median, max } } in &self.beside {
            writeln!(f, "`{rule}` takes {median:.3} times as long as `{first}` ({min:.3} to {max:.3})")?;
        }
        for share in &self.ssg {
            let SsgShare { with, without, guidance_share, added_seconds, added_share } = share;
            writeln!(
                f,
                "\nSSG's share: the guidance part of `{with}` is {:.2} % of the whole\n  and takes {:.4} s more than that of \
                 `{without}` ({:.4} to {:.4}): {:.2} % of the whole",
                100.0 * guidance_share.median,
                added_seconds.median,
                added_seconds.min,
                added_seconds.max,
                100.0 * added_share.median
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { min: 1.0, median: 2.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 8.0]).median, 3.0);
    }

    #[test]
    fn a_report_is_a_table() {
        let about = |median: f64| Spread { min: median * 0.9, median, max: median * 1.2 };
        let row = |name: &str, guidance: f64| Row {
            name: name.into(),
            seconds: Seconds {
                whole: about(5.0 + guidance),
                backbone: about(3.5),
                guidance: about(guidance),
                sampling: about(0.25),
                canvas: about(0.125),
                decoding: about(1.0),
                rest: about(0.125),
            },
            images_per_second: about(8.0 / 5.0),
        };
        let report = BenchReport {
            version: "0.0.0",
            model: "random VAR-d16".into(),
            device: "cpu".into(),
            route: "avx512".into(),
            threads: 2,
            image_size: [256, 256],
            images: 8,
            batch: 4,
            runs: 5,
            warmup: 1,
            loading_seconds: 2.5,
            peak_memory_bytes: Some(1_250_000_000),
            rows: vec![row("cfg", 0.05), row("cfg + ssg", 0.1)],
            beside: vec![Beside { rule: "cfg + ssg".into(), first: "cfg".into(), ratio: about(1.01) }],
            ssg: vec![SsgShare {
                with: "cfg + ssg".into(),
                without: "cfg".into(),
                guidance_share: about(0.02),
                added_seconds: about(0.05),
                added_share: about(0.01),
            }],
        };
        insta::assert_snapshot!(report);
    }
}
