//! `nextscale calibrate CONFIG --out FILE`: average logits for the prior `Marginal`.

use std::path::{Path, PathBuf};

use crate::pipeline::calibration::{CalibrationOptions, calibrate};
use crate::pipeline::{Config, Registry, Stop};

use super::device::DeviceArgs;
use super::interrupt::on_interrupt;
use super::overrides::Overrides;
use super::recognise::ConfigKind;
use super::say::{self, say};
use super::{Failure, config_file};

/// Average a rule's logits over a config's images, for the prior `Marginal`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run's config whose guidance is the rule that SSG will use as its base
    config: PathBuf,
    /// The safetensors file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Use this seed instead of the config's; choose one that no measured image uses
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Generates the images, averages their logits, and prints where the averages are.
pub fn run(args: Args, registry: &Registry) -> Result<(), Failure> {
    let mut tree = config_file::read(&args.config, ConfigKind::Run)?;
    args.overrides.apply(&mut tree)?;
    if let Some(seed) = args.seed {
        tree.assign(&format!("seed={seed}")).map_err(Failure::usage)?;
    }
    let folder = args.config.parent().unwrap_or(Path::new(""));
    let prepared = Config::from_node(&tree, folder, registry).and_then(Config::prepare);
    let prepared = prepared.map_err(|error| Failure::from(error).placed(&tree, folder))?;
    say::warn(prepared.remarks());
    let stop = Stop::new();
    let options = CalibrationOptions {
        device: args.device.device,
        progress: true,
        stop: stop.clone(),
        ..CalibrationOptions::new(args.out)
    };
    on_interrupt(move || stop.request())?;
    let done = calibrate(&prepared, &options)?;
    let (file, images) = (done.file.display(), done.images);
    // A config's paths are relative to its own folder, wherever that is.
    let path = std::path::absolute(&done.file).unwrap_or_else(|_| done.file.clone());
    match done.made {
        0 => say!("{file} exists already, over {images} images"),
        _ => say!("wrote {file} over {images} images; use it with: prior: Marginal(file: {path:?})"),
    }
    if let Some(halves) = done.halves {
        say!("averages over even and over odd images differ by {:.1} %", 100.0 * halves);
    }
    Ok(())
}
