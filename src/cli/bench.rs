//! `nextscale bench [CONFIG]`: seconds of every part of a run, and SSG's share of them.

use std::path::PathBuf;

use crate::config::Document;
use crate::core::ScaleSchedule;
use crate::files::write_atomically;
use crate::pipeline::bench::{BenchOptions, Progress, Weights, bench};
use crate::pipeline::{Config, Error, Registry, Stop};

use super::Failure;
use super::device::{DeviceArgs, DtypeArgs};
use super::generate;
use super::interrupt::on_interrupt;
use super::overrides::Overrides;
use super::place;
use super::say;
use crate::pipeline::progress;

/// The configs for random weights if none is given: one for models of classes, one for models of texts.
const OF_CLASSES: (&str, &str) = ("var-d16.ron", include_str!("../../configs/var-d16.ron"));
const OF_TEXTS: (&str, &str) = ("infinity-125m.ron", include_str!("../../configs/infinity-125m.ron"));

/// Measure seconds per part, images per second, peak memory and SSG's share, on your model and device
///
/// The config's rules take turns making the same images, and a rule with SSG also runs without it. Only the
/// report is written.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run's config [default: the shipped model under the four rules of the quick start]
    config: Option<PathBuf>,
    /// Random weights in the shapes of VAR-d16, d20, d24, d30 (256 pixels) or d36 (512), by the number, or of
    /// Infinity, as in infinity-125m or "infinity-2b, 0.25M, 4:3", or of HART, as in "hart-0.7b, 512 pixels", in
    /// place of the config's model; without a config, with the settings of configs/var-d16.ron or
    /// configs/infinity-125m.ron and a batch of 1
    #[arg(long, value_name = "SIZES")]
    random: Option<String>,
    /// Sides of the random model's grids, like 1,2,3,4,5,6,8 for 128 pixels (16 times the last) [default: the
    /// published ones]
    #[arg(long, value_name = "SIDES", requires = "random", value_delimiter = ',')]
    scales: Vec<usize>,
    /// Codes of the random model [default: 4096]
    #[arg(long, value_name = "N", requires = "random", value_parser = clap::value_parser!(u32).range(1..))]
    vocabulary: Option<u32>,
    /// A second random model, which a rule of the config reads by this name, as in weak=16 for
    /// Autoguidance(weak: "weak", ..); can be repeated
    #[arg(long, value_name = "NAME=SIZES", requires = "random", value_parser = guide)]
    guide: Vec<(String, String)>,
    /// Measured runs of every rule
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Warm-up runs of every rule, not measured
    #[arg(long, value_name = "N", default_value_t = 1)]
    warmup: u32,
    /// Images per batch [default: the config's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Images per run, cycling through the config's conditions [default: --batch, else the smaller of the
    /// config's batch and number of images]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    images: Option<u32>,
    /// Also write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    #[command(flatten)]
    pub(super) dtype: DtypeArgs,
}

impl Args {
    fn weights(&self) -> Result<Weights, Failure> {
        let Some(random) = &self.random else { return Ok(Weights::OfConfig) };
        Ok(Weights::Random(self.sizes(random)?))
    }

    /// Sizes with this command's scales and vocabulary, which all of its models have.
    fn sizes(&self, of: &str) -> Result<String, Failure> {
        let mut sizes = of.to_owned();
        if !self.scales.is_empty() {
            let scales =
                ScaleSchedule::square(&self.scales).map_err(|error| Failure::from(Error::from(error)))?;
            sizes += &format!(", scales {scales}");
        }
        if let Some(codes) = self.vocabulary {
            sizes += &format!(", {codes} codes");
        }
        Ok(sizes)
    }
}

/// A name and sizes.
fn guide(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, sizes)| !name.is_empty() && !sizes.is_empty());
    let (name, sizes) = pair.ok_or("write NAME=SIZES, as in weak=16")?;
    Ok((name.into(), sizes.into()))
}

/// Measures, and prints the table.
pub fn run(args: Args, registry: &Registry) -> Result<(), Failure> {
    if let Some(file) = &args.json {
        place::check_file(file)?;
    }
    let published = args.config.is_none() && args.random.is_some();
    let weights = args.weights()?;
    let guides = args.guide.iter().map(|(name, sizes)| Ok((name.clone(), args.sizes(sizes)?)));
    let guides = guides.collect::<Result<Vec<_>, Failure>>()?;
    let (mut tree, folder) = if let (true, Weights::Random(sizes)) = (published, &weights) {
        let (name, text) = if registry.random(sizes)?.takes().prompts { OF_TEXTS } else { OF_CLASSES };
        (Document::parse(name, text).map_err(Failure::usage)?, PathBuf::new())
    } else {
        let (tree, _, folder) = generate::read(args.config.as_deref())?;
        (tree, folder)
    };
    args.overrides.apply(&mut tree)?;
    let registry = registry.clone().in_folder(&folder);
    let placed = |error: Error| Failure::from(error).placed(&tree, &folder);
    let config = Config::from_node(&tree, &folder, &registry).map_err(placed)?;
    let stop = Stop::new();
    let options = BenchOptions {
        device: args.device.device,
        dtype: args.dtype.dtype,
        weights,
        guides,
        runs: args.runs as usize,
        warmup: args.warmup as usize,
        batch: args.batch.or(published.then_some(1)).map(|batch| batch as usize),
        images: args.images.map(|images| images as usize),
        stop: stop.clone(),
    };
    on_interrupt(move || stop.request())?;
    let bar = progress::bar("batches");
    let report = bench(config, &registry, &options, |Progress { rule, done, total }| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        bar.set_message(rule.to_owned());
    });
    bar.finish_and_clear();
    let report = report.map_err(|error| match error {
        Error::Stopped => Failure::Stopped(miette::miette!("stopped; nothing was written")),
        error => placed(error),
    })?;
    if let Some(file) = &args.json {
        let unwritten = |error: &dyn std::fmt::Display| {
            Failure::Run(miette::miette!("cannot write {}: {error}", file.display()))
        };
        let text = report.to_json().map_err(|error| unwritten(&error))?;
        write_atomically(file, text.as_bytes()).map_err(|error| unwritten(&error))?;
        say::out(format_args!("{report}"));
        return Ok(());
    }
    say::product(format_args!("{report}"))
}
