//! Parity with upstream's code: the numbers that the original PyTorch implementation computes from tiny
//! models with random weights (`tests/fixtures/var/README.md`, and some of `tests/fixtures/infinity` and `tests/fixtures/hart`),
//! compiled in, and how far this program differs from them on any device.
//!
//! Both the crates' golden tests and `nextscale selfcheck` call these functions, so that each comparison is
//! written once: lower crates have this one as a development dependency.

pub mod backbone;
mod fixtures;
mod following;
mod gap;
pub mod generation;
pub mod guidance;
pub mod hart;
mod host;
pub mod infinity;
mod line;
pub mod loading;
pub mod priors;
pub mod sampler;
pub mod tokenizer;
mod tolerances;

pub use fixtures::{Fixture, Fixtures, GROUPS, Kind, RUNS, schedule};
pub use gap::Gap;
pub use line::{Allowed, Line};
pub use tolerances::Tolerances;

use burn::tensor::Device;
use nextscale_pipeline::Result;

/// The inputs of a group of comparisons.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// Upstream's numbers.
    pub fixtures: &'a Fixtures,
    /// The device under test.
    pub device: &'a Device,
    /// The allowed differences.
    pub tolerances: &'a Tolerances,
}

/// A group of comparisons: its name, and the function that computes its lines.
type Group = (&'static str, fn(&Setting<'_>) -> Result<Vec<Line>>);

/// Every group; each depends on those before it.
const CHECKS: [Group; 9] = [
    ("loading", loading::lines),
    ("priors", priors::lines),
    ("tokenizer", tokenizer::lines),
    ("backbone", backbone::lines),
    ("guidance", guidance::lines),
    ("sampler", sampler::lines),
    ("generation", generation::lines),
    ("infinity", infinity::lines),
    ("hart", hart::lines),
];

/// Makes all comparisons; `show` receives each line when it is ready. A group that cannot be computed is one
/// failed line.
pub fn run(setting: &Setting<'_>, mut show: impl FnMut(&Line)) -> Vec<Line> {
    let mut all = Vec::new();
    for (name, check) in CHECKS {
        let lines = check(setting).unwrap_or_else(|error| vec![Line::fault(name, &error)]);
        lines.iter().for_each(&mut show);
        all.extend(lines);
    }
    all
}
