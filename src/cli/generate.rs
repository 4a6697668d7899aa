//! `nextscale generate [CONFIG]`: from a config to a folder of images.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::{Document, Node};
use crate::families::Shipped;
use crate::pipeline::{self, Config, Registry, RunOptions, Stop};

use super::device::{DeviceArgs, DtypeArgs};
use super::interrupt::on_interrupt;
use super::overrides::Overrides;
use super::recognise::ConfigKind;
use super::say::{self, say};
use super::{Failure, config_file};

/// The default config, compiled in so that it works from any folder.
const QUICKSTART: &str = include_str!("../../configs/quickstart.ron");

/// Generate images: with no config, ten classes of the shipped model under four guidances
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
    /// A text to draw, instead of the config's condition; can be repeated; without a config, the shipped model that
    /// takes texts draws it under four guidances
    #[arg(long, value_name = "TEXT")]
    prompt: Vec<String>,
    /// Write every scale's logits, priors, tokens and canvases to a safetensors file
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    dtype: DtypeArgs,
}

/// A condition in config notation.
#[derive(Serialize)]
enum Condition<'a> {
    Prompts(&'a [String]),
}

/// Generates the images, and prints where they are and what they took.
pub fn run(args: Args, registry: &Registry) -> Result<(), Failure> {
    let (mut tree, name, folder) = match (&args.config, args.prompt.is_empty()) {
        (None, false) => quickstart_of_prompts()?,
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
    let prepared = Config::from_node(&tree, &folder, registry).and_then(Config::prepare)?;
    say::warn(prepared.remarks());
    let stop = Stop::new();
    let options = RunOptions {
        trace: args.trace,
        device: args.device.device,
        dtype: args.dtype.dtype,
        progress: true,
        stop: stop.clone(),
        ..RunOptions::new(args.out.unwrap_or_else(|| name.into()))
    };
    on_interrupt(move || stop.request())?;
    let summary = pipeline::run(&prepared, &options)?;
    say!("{summary}");
    Ok(())
}

/// The config of prompts given without one: the quickstart, on a shipped model that takes texts.
fn quickstart_of_prompts() -> Result<(Node, String, PathBuf), Failure> {
    #[derive(Serialize)]
    #[serde(rename = "Model")]
    enum Model<'a> {
        Shipped(&'a str),
    }
    let Some(model) = Shipped::of_prompts() else {
        return Err(Failure::Usage(miette::miette!(
            help = "give a config whose model takes texts, as in configs/infinity-125m.ron",
            "none of this program's shipped models takes prompts"
        )));
    };
    let (mut tree, _, folder) = read(None)?;
    let model = Node::from_serialize(&Model::Shipped(model.name)).map_err(Failure::usage)?;
    tree.set_node("model", model).map_err(Failure::usage)?;
    Ok((tree, "prompts".into(), folder))
}

/// The config, its output's name, and the folder for relative paths in it.
pub(super) fn read(path: Option<&Path>) -> Result<(Node, String, PathBuf), Failure> {
    match path {
        None => {
            let tree = Document::parse("quickstart.ron", QUICKSTART).map_err(Failure::usage)?;
            Ok((tree, "quickstart".into(), PathBuf::new()))
        }
        Some(path) => {
            let tree = config_file::read(path, ConfigKind::Run)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Ok((tree, name, path.parent().unwrap_or(Path::new("")).to_owned()))
        }
    }
}
