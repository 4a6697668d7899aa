//! What both sides write on standard output, one line of JSON each.

use serde::{Deserialize, Serialize};

/// The guidances that a side can run, by their names on both sides. SSG's strength is the same at every
/// scale, so that its cost is incurred at every scale.
pub const GUIDANCES: [(&str, &str); 4] = [
    ("none", "Conditional"),
    ("cfg", "Cfg(scale: Ramp(1.5))"),
    ("ssg", "Ssg(base: Conditional, prior: Dse(), beta: 0.5)"),
    ("cfg+ssg", "Ssg(base: Cfg(scale: Ramp(1.5)), prior: Dse(), beta: 0.5)"),
];

/// The same for Infinity, whose guidance has one weight at all scales.
pub const INFINITY_GUIDANCES: [(&str, &str); 4] = [
    ("none", "Conditional"),
    ("cfg", "Cfg(weight: 3.0)"),
    ("ssg", "Ssg(base: Conditional, prior: Dse(), beta: 0.5)"),
    ("cfg+ssg", "Ssg(base: Cfg(weight: 3.0), prior: Dse(), beta: 0.5)"),
];

/// The first line: the weights are there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ready {
    /// From opening the files until the first batch can begin.
    pub load_seconds: f64,
    /// The number of threads.
    pub threads: usize,
    /// The process's memory before it reads weights, if the system reports it.
    pub imported_bytes: Option<u64>,
}

/// The seconds of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// From classes or texts' rows to pictures in host memory.
    pub total: f64,
    /// The transformer.
    pub transformer: f64,
    /// The rule and its prior.
    pub guidance: f64,
    /// Filtering and drawing.
    pub sampling: f64,
    /// Embedding, accumulating, and the next scale's input.
    pub canvas: f64,
    /// The canvas to pictures.
    pub decode: f64,
}

/// A line a batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// What it took.
    pub seconds: Seconds,
    /// The peak memory of the process so far, if the system reports it.
    pub peak_bytes: Option<u64>,
}
