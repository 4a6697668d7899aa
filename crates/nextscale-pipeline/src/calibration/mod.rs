//! Average logits of a run, which the prior `Marginal` is made of.
//!
//! A calibration generates a config's images, and keeps of each scale the average over images and positions of the guided
//! logits of every channel, in f64: the rule of the config is the base whose coarse logits the prior stands in for. The
//! file is safetensors with `marginal.{h}x{w}` `[channels]` in f32 for every grid; scales on equal grids share one.

mod file;
mod lock;
mod sums;

pub use file::{Averages, read};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use nextscale_core::{Condition, is_cpu};
use nextscale_files::remove_with_partial;

use crate::device::DeviceChoice;
use crate::progress::bar;
use crate::{Batch, Error, Generator, LoadOptions, Prepared, Result, Stop, version};
use lock::lock;
use nextscale_core::noise::Counter;
use nextscale_generate::observe::{Observer, Seen};
use sums::Sums;

/// How a calibration goes about it; none of this changes its averages, except that a GPU's logits differ in their last
/// bits from a CPU's.
#[derive(Debug, Clone)]
pub struct CalibrationOptions {
    /// The file to write.
    pub out: PathBuf,
    /// The device.
    pub device: DeviceChoice,
    /// Whether to show on standard error how far it is.
    pub progress: bool,
    /// Where someone may ask to stop.
    pub stop: Stop,
}

impl CalibrationOptions {
    /// A quiet calibration on the CPU.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self { out: out.into(), device: DeviceChoice::Cpu, progress: false, stop: Stop::new() }
    }
}

/// What a calibration did.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibrated {
    /// Where the averages are.
    pub file: PathBuf,
    /// Images that were made now; 0 where the file was there.
    pub made: u64,
    /// Images that the averages are over.
    pub images: u64,
    /// How far the averages over even and over odd images lie apart, as a share of the averages; none for one image.
    pub halves: Option<f64>,
}

/// What is summed is saved this often, so that an interrupted calibration repeats little.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// Averages the guided logits of all images of a config that has one rule, and writes them to a file.
///
/// It begins where an interrupted one of the same config stopped, whose sums lie beside the file as `.NAME.unfinished`, and
/// ends with the same bytes. The same calibration again finds its file and makes nothing.
///
/// # Errors
/// If the config has variants or an edit, the file is there and of another calibration, another process is at it, logits
/// are not finite, or from the device or the disk; [`Error::Stopped`] if someone asked to stop.
pub fn calibrate(prepared: &Prepared, options: &CalibrationOptions) -> Result<Calibrated> {
    let [method] = prepared.config.methods.as_slice() else {
        return Err(Error::Usage(
            "a calibration averages the logits of one rule; give `guidance` instead of `variants`".into(),
        ));
    };
    if prepared.config.edit.is_some() {
        return Err(Error::Usage("a calibration averages whole images; leave out `edit`".into()));
    }
    let device = options.device.open()?;
    let kind = if is_cpu(&device) { "cpu" } else { "cuda" };
    let identity = format!("{} {kind} {}", prepared.identity(), version::words());
    let images = prepared.conditions.len() as u64;
    let calibrated = |made, halves| Calibrated { file: options.out.clone(), made, images, halves };
    let partial = Sums::place(&options.out);
    // Taken first, so that it and what a killed process left go away where there is nothing to do either.
    let _lock = lock(&options.out)?;
    if options.out.exists() {
        let halves = file::expect(&options.out, &identity)?;
        remove_with_partial(&partial);
        return Ok(calibrated(0, halves));
    }
    let mut sums = Sums::load(&partial, &identity)?;
    let found = sums.images;
    let bar = if options.progress { bar("images") } else { ProgressBar::hidden() };
    bar.set_length(images);
    bar.set_position(found);
    let model = prepared
        .model
        .load(&LoadOptions { conditions: &prepared.conditions, ..LoadOptions::new(&device) })?;
    let config = &prepared.config;
    let noise = Arc::new(Counter::new(config.seed));
    let generator = Generator::new(model, Arc::clone(&method.rule), Arc::clone(&config.sampler), noise)?;
    let mut saved = Instant::now();
    let numbers: Vec<u64> = (found..images).collect();
    for batch in numbers.chunks(config.batch) {
        let conditions: Vec<Condition> =
            batch.iter().map(|&image| prepared.conditions[image as usize].clone()).collect();
        // A batch counts wholly or not at all.
        let mut adding = Adding(sums.clone());
        let begun = Batch { images: batch, conditions: &conditions };
        if let Err(error) = generator.batch(begun, &mut adding, &options.stop) {
            if sums.images > 0 {
                sums.save(&partial, &identity)?;
            }
            return Err(prepared.model.named_in(error));
        }
        sums = adding.0;
        sums.images += batch.len() as u64;
        bar.inc(batch.len() as u64);
        if saved.elapsed() > SAVE_EVERY {
            sums.save(&partial, &identity)?;
            saved = Instant::now();
        }
    }
    bar.finish_and_clear();
    file::write(&options.out, &sums, prepared, &identity)?;
    remove_with_partial(&partial);
    Ok(calibrated(images - found, file::expect(&options.out, &identity)?))
}

struct Adding(Sums);

impl Observer for Adding {
    fn scale(&mut self, seen: &Seen<'_>) -> nextscale_generate::Result<()> {
        Ok(self.0.add(seen.guided)?)
    }
}
