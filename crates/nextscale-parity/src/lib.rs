//! Parity with upstream's code: the numbers that the original PyTorch implementation computes from tiny
//! models with random weights (`tests/fixtures/var/README.md`, and some of `tests/fixtures/infinity` and `tests/fixtures/hart`),
//! compiled in, and how far this program differs from them on any device.
//!
//! Both the crates' golden tests and `nextscale selfcheck` call these functions, so that each comparison is
//! written once: lower crates have this one as a development dependency.

pub mod backbone;
#[cfg(test)]
mod faults;
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
pub use line::{Bound, Line};
pub use tolerances::Arithmetic;

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};

use burn::tensor::Device;
use nextscale_core::Dtype;
use nextscale_pipeline::Result;

/// The inputs of a group of comparisons.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// Upstream's numbers.
    pub fixtures: &'a Fixtures,
    /// The device under test.
    pub device: &'a Device,
    /// What products are computed in, on which the allowed differences depend.
    pub arithmetic: Arithmetic,
    /// The type in which generation computes: transformers and decoders. Everything else is f32.
    pub dtype: Dtype,
}

impl<'a> Setting<'a> {
    /// With generation in f32.
    pub fn new(fixtures: &'a Fixtures, device: &'a Device, arithmetic: Arithmetic) -> Self {
        Self { fixtures, device, arithmetic, dtype: Dtype::F32 }
    }

    /// A line with the bound that this arithmetic has for it.
    fn line(&self, name: impl Into<String>, gap: Gap) -> Line {
        let name = name.into();
        let bound = self.arithmetic.bound(&name);
        Line::new(name, gap, bound)
    }

    /// A line of what generation computes, with the bound of its type where that is wider.
    fn line_of_generation(&self, name: impl Into<String>, gap: Gap) -> Line {
        let name = name.into();
        let bound = self.arithmetic.bound(&name).or_wider(tolerances::bound_in(self.dtype, &name));
        Line::new(name, gap, bound)
    }
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
/// failed line, also if a driver or burn panics: what follows is computed nevertheless.
pub fn run(setting: &Setting<'_>, show: impl FnMut(&Line)) -> Vec<Line> {
    run_groups(&CHECKS, setting, show)
}

fn run_groups(groups: &[Group], setting: &Setting<'_>, mut show: impl FnMut(&Line)) -> Vec<Line> {
    let mut all = Vec::new();
    for (name, check) in groups {
        let lines = match panic::catch_unwind(AssertUnwindSafe(|| check(setting))) {
            Ok(Ok(lines)) => lines,
            Ok(Err(error)) => vec![Line::fault(*name, error.to_string())],
            Err(cause) => vec![Line::fault(*name, format!("the device's code panicked: {}", words(&*cause)))],
        };
        lines.iter().for_each(&mut show);
        all.extend(lines);
    }
    all
}

/// What a panic said, on one line.
fn words(cause: &(dyn Any + Send)) -> String {
    let text = match cause.downcast_ref::<String>() {
        Some(text) => text.as_str(),
        None => cause.downcast_ref::<&str>().copied().unwrap_or("no message"),
    };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
