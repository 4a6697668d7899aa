//! The measurements, as a Markdown table.

use std::fmt;

use nextscale::pipeline::bench::Spread;

use crate::protocol::Seconds;

/// The measurements of one side.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Runs under CFG.
    pub cfg: Vec<Seconds>,
    /// Runs with SSG over CFG, each next to the run at the same index in `cfg`.
    pub cfg_ssg: Vec<Seconds>,
    /// Runs with SSG over the conditional logits, likewise.
    pub ssg: Vec<Seconds>,
    /// From opening the files until the first batch can begin.
    pub load_seconds: f64,
    /// From starting the process until then.
    pub start_seconds: f64,
    /// The peak memory of the process, if the system reports it.
    pub peak_bytes: Option<u64>,
}

/// The race's end.
pub struct Table {
    /// nextscale.
    pub ours: Measured,
    /// PyTorch.
    pub theirs: Measured,
}

#[derive(Clone, Copy)]
enum Unit {
    Seconds,
    /// A percentage; ratios of two percentages are not shown.
    Percent,
    /// Of bytes.
    Gigabytes,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Unit::Seconds if value >= 10.0 => format!("{value:.1}"),
            Unit::Seconds if value >= 1.0 => format!("{value:.2}"),
            Unit::Seconds => format!("{value:.4}"),
            Unit::Percent => format!("{:.2} %", 100.0 * value),
            Unit::Gigabytes => format!("{:.2} GB", value / 1e9),
        }
    }

    /// Minimum, median and maximum; a single measurement is shown once.
    fn spread(self, values: &[f64]) -> String {
        let Spread { min, median, max } = Spread::of(values.iter().copied());
        match values.len() {
            0 => "unknown".into(),
            1 => self.show(median),
            _ => [min, median, max].map(|value| self.show(value)).join(" / "),
        }
    }
}

type Values = fn(&Measured) -> Vec<f64>;

fn seconds(runs: &[Seconds], part: fn(&Seconds) -> f64) -> Vec<f64> {
    runs.iter().map(part).collect()
}

/// A quantity of a run with CFG and of the run of another guidance next to it.
fn pairs(cfg: &[Seconds], other: &[Seconds], of: fn(&Seconds, &Seconds) -> f64) -> Vec<f64> {
    cfg.iter().zip(other).map(|(cfg, other)| of(cfg, other)).collect()
}

const ROWS: [(&str, Unit, Values); 15] = [
    ("CFG: whole call", Unit::Seconds, |m| seconds(&m.cfg, |s| s.total)),
    ("— backbone", Unit::Seconds, |m| seconds(&m.cfg, |s| s.transformer)),
    ("— guidance", Unit::Seconds, |m| seconds(&m.cfg, |s| s.guidance)),
    ("— sampling", Unit::Seconds, |m| seconds(&m.cfg, |s| s.sampling)),
    ("— guidance and sampling", Unit::Seconds, |m| seconds(&m.cfg, |s| s.guidance + s.sampling)),
    ("— the same, of the whole", Unit::Percent, |m| {
        seconds(&m.cfg, |s| (s.guidance + s.sampling) / s.total)
    }),
    ("— canvas", Unit::Seconds, |m| seconds(&m.cfg, |s| s.canvas)),
    ("— decode", Unit::Seconds, |m| seconds(&m.cfg, |s| s.decode)),
    ("SSG over CFG: whole call", Unit::Seconds, |m| seconds(&m.cfg_ssg, |s| s.total)),
    ("— added by SSG, of the whole", Unit::Percent, |m| {
        pairs(&m.cfg, &m.cfg_ssg, |cfg, ssg| (ssg.guidance - cfg.guidance) / ssg.total)
    }),
    ("SSG without CFG: backbone", Unit::Seconds, |m| seconds(&m.ssg, |s| s.transformer)),
    ("— the same, of CFG's", Unit::Percent, |m| {
        pairs(&m.cfg, &m.ssg, |cfg, ssg| ssg.transformer / cfg.transformer)
    }),
    ("peak memory", Unit::Gigabytes, |m| m.peak_bytes.map(|bytes| bytes as f64).into_iter().collect()),
    ("loading the weights", Unit::Seconds, |m| vec![m.load_seconds]),
    ("starting and loading", Unit::Seconds, |m| vec![m.start_seconds]),
];

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| work | nextscale, min / median / max | PyTorch, min / median / max | ratio of medians |"
        )?;
        writeln!(f, "|---|---|---|---|")?;
        for (work, unit, values) in ROWS {
            let (ours, theirs) = (values(&self.ours), values(&self.theirs));
            let median = |values: &[f64]| Spread::of(values.iter().copied()).median;
            let compared = !matches!(unit, Unit::Percent) && !ours.is_empty() && median(&theirs) > 0.0;
            let ratio =
                if compared { format!("{:.2}", median(&ours) / median(&theirs)) } else { String::new() };
            writeln!(f, "| {work} | {} | {} | {ratio} |", unit.spread(&ours), unit.spread(&theirs))?;
        }
        Ok(())
    }
}
