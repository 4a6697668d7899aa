//! `nextscale generate [CONFIG]`: from a config to a folder of images.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::{Document, Node};
use crate::pipeline::{self, Config, Registry, RunOptions};
use crate::pipeline::{TraceDtype, TraceField, TraceSpec};

use super::device::{DeviceArgs, DtypeArgs};
use super::interrupt::on_interrupt;
use super::overrides::Overrides;
use super::recognise::ConfigKind;
use super::say::{self, say};
use super::shards::{ShardArgs, requeued};
use super::{Failure, config_file, place};

/// The default config, compiled in so that it works from any folder.
const QUICKSTART: &str = include_str!("../../configs/quickstart.ron");
/// The same for prompts without a config: the shipped model that takes prompts.
const PROMPTS: &str = include_str!("../../configs/prompts.ron");

/// Generate images: with no config, ten classes of the shipped model under four guidance rules
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's config, a RON file; `nextscale init` writes one to start from
    config: Option<PathBuf>,
    /// The folder to write [default: the config's name]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Use this seed instead of the config's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// A prompt, instead of the config's condition; can be repeated; without a config, the shipped text model
    /// generates it under four guidance rules
    #[arg(long, value_name = "TEXT")]
    prompt: Vec<String>,
    /// Write every scale's logits, priors, tokens and canvases to a safetensors file
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    #[command(flatten)]
    traced: Traced,
    #[command(flatten)]
    shards: ShardArgs,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
    #[command(flatten)]
    pub(super) dtype: DtypeArgs,
}

/// Which parts of a run a trace keeps, in place of the config's `trace`.
#[derive(Debug, clap::Args)]
struct Traced {
    /// Keep only these scales in the trace, like 0,3-5
    #[arg(long, value_name = "SCALES", requires = "trace", value_parser = numbers)]
    trace_scales: Option<Numbers>,
    /// Keep only these images in the trace, like 0-19
    #[arg(long, value_name = "IMAGES", requires = "trace", value_parser = numbers)]
    trace_images: Option<Numbers>,
    /// Keep only these in the trace: logits, prior, guided, tokens, canvas, images
    #[arg(long, value_name = "FIELDS", requires = "trace", value_delimiter = ',', value_parser = field)]
    trace_fields: Vec<TraceField>,
    /// The type of the trace's numbers: f32, or f16, at half the size
    #[arg(long, value_name = "TYPE", requires = "trace", value_parser = dtype)]
    trace_dtype: Option<TraceDtype>,
}

/// A list of numbers, which clap treats as one value.
#[derive(Debug, Clone)]
struct Numbers(Vec<u64>);

fn numbers(text: &str) -> Result<Numbers, String> {
    pipeline::numbers(text).map(Numbers)
}

fn field(text: &str) -> Result<TraceField, String> {
    let names = || TraceField::ALL.map(TraceField::name).join(", ");
    let found = TraceField::ALL.into_iter().find(|field| field.name() == text.trim());
    found.ok_or_else(|| format!("a trace has {}", names()))
}

fn dtype(text: &str) -> Result<TraceDtype, String> {
    match text {
        "f32" => Ok(TraceDtype::F32),
        "f16" => Ok(TraceDtype::F16),
        _ => Err("a trace's numbers are f32 or f16".into()),
    }
}

impl Traced {
    /// Applies the command line's options to the config.
    fn apply(self, tree: &mut Node) -> Result<(), Failure> {
        let Self { trace_scales, trace_images, trace_fields, trace_dtype } = self;
        if trace_scales.is_none()
            && trace_images.is_none()
            && trace_fields.is_empty()
            && trace_dtype.is_none()
        {
            return Ok(());
        }
        let given = tree.get("trace").ok().filter(|node| node.name() != Some("None"));
        let mut spec = given.map(TraceSpec::read).transpose()?.unwrap_or_default();
        if let Some(Numbers(scales)) = trace_scales {
            spec.scales = scales.into_iter().map(|scale| scale as usize).collect();
        }
        if let Some(Numbers(images)) = trace_images {
            spec.images = images;
        }
        if !trace_fields.is_empty() {
            spec.fields = trace_fields;
        }
        spec.dtype = trace_dtype.unwrap_or(spec.dtype);
        let node = Node::from_serialize(&spec).map_err(Failure::usage)?;
        tree.set_node("trace", node).map_err(Failure::usage)
    }
}

/// A condition in config notation.
#[derive(Serialize)]
enum Condition<'a> {
    Prompts(&'a [String]),
}

/// Generates the images, and prints where they are and what they took.
pub fn run(args: Args, registry: &Registry) -> Result<(), Failure> {
    let place = args.shards.place()?;
    let (mut tree, name, folder) = match (&args.config, args.prompt.is_empty()) {
        (None, false) => built_in("prompts", PROMPTS)?,
        (config, _) => read(config.as_deref())?,
    };
    args.overrides.apply(&mut tree)?;
    if let Some(seed) = args.seed {
        tree.assign(&format!("seed={seed}")).map_err(Failure::usage)?;
    }
    if !args.prompt.is_empty() {
        let prompts = Node::from_serialize(&Condition::Prompts(&args.prompt)).map_err(Failure::usage)?;
        tree.set_node("condition", prompts).map_err(Failure::usage)?;
    }
    args.traced.apply(&mut tree)?;
    let prepared = Config::from_node(&tree, &folder, registry).and_then(Config::prepare);
    let prepared = prepared.map_err(|error| Failure::from(error).placed(&tree, &folder))?;
    say::warn(prepared.remarks());
    if args.trace.is_none() && !prepared.config.trace.is_all() {
        say::warn(&["the config has `trace`, but a trace is written only with --trace FILE".to_owned()]);
    }
    let out = place::folder(args.out.unwrap_or_else(|| name.into()))?;
    let stop = place.stop.clone();
    let options = RunOptions {
        trace: args.trace,
        device: place.device(args.device.device)?,
        dtype: args.dtype.dtype,
        progress: true,
        stop: stop.clone(),
        ..RunOptions::new(out)
    };
    let summary = match &place.worker {
        None => {
            on_interrupt(move || stop.request())?;
            pipeline::run(&prepared, &options)?
        }
        Some(worker) => {
            pipeline::run_shard(&prepared, &options, worker).map_err(|error| requeued(error.into()))?
        }
    };
    say!("{summary}");
    Ok(())
}

/// A config that is part of the program, as [`read`] returns it.
fn built_in(name: &str, text: &str) -> Result<(Node, String, PathBuf), Failure> {
    let tree = Document::parse(&format!("{name}.ron"), text).map_err(Failure::usage)?;
    Ok((tree, name.into(), PathBuf::new()))
}

/// The config, its output's name, and the folder for relative paths in it.
pub(super) fn read(path: Option<&Path>) -> Result<(Node, String, PathBuf), Failure> {
    match path {
        None => built_in("quickstart", QUICKSTART),
        Some(path) => {
            let tree = config_file::read(path, ConfigKind::Run)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Ok((tree, name, path.parent().unwrap_or(Path::new("")).to_owned()))
        }
    }
}
