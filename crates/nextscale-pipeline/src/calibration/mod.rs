//! Average logits of a run, for the prior `Marginal`.
//!
//! A calibration generates a config's images and averages, for each scale, the guided logits of every channel
//! over images and positions, in f64. The config's rule is the base whose coarse logits the prior replaces.
//! The file is safetensors with `marginal.{h}x{w}` `[channels]` in f32 for every grid; scales on equal grids
//! share one.

mod file;
mod lock;
mod sums;

pub use file::{Averages, read};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::Tensor;
use indicatif::ProgressBar;
use nextscale_core::{Condition, Dtype, Grid, is_cpu};
use nextscale_files::{other_device, remove_with_partial};

use crate::device::{self, DeviceChoice};
use crate::progress::bar;
use crate::{Batch, Error, Generator, LoadOptions, Prepared, Result, Stop, version};
use lock::lock;
use nextscale_core::noise::Counter;
use nextscale_generate::floats;
use nextscale_generate::observe::{Observer, Seen};
use sums::Sums;

/// Execution options. They do not change the averages, except that a GPU's logits, and those of another CPU's
/// arithmetic, differ in the last bits.
#[derive(Debug, Clone)]
pub struct CalibrationOptions {
    /// The file to write.
    pub out: PathBuf,
    /// The device.
    pub device: DeviceChoice,
    /// Whether to show progress on standard error.
    pub progress: bool,
    /// For requests to stop.
    pub stop: Stop,
}

impl CalibrationOptions {
    /// A silent calibration on the CPU.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self { out: out.into(), device: DeviceChoice::Cpu, progress: false, stop: Stop::new() }
    }
}

/// The results of a calibration.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibrated {
    /// Where the averages are.
    pub file: PathBuf,
    /// Images generated now; 0 if the file existed.
    pub made: u64,
    /// Images that the averages cover.
    pub images: u64,
    /// The relative difference between the averages over even and over odd images; `None` for one image.
    pub halves: Option<f64>,
}

/// How often sums are saved, so that an interrupted calibration repeats little.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// Averages the guided logits of all images of a config with one rule, and writes them to a file.
///
/// Resumes an interrupted calibration of the same config, whose sums are beside the file as
/// `.NAME.unfinished`, and ends with the same bytes. If the file of the same calibration exists, nothing is
/// generated.
///
/// # Errors
/// If the config has variants or an edit, the file exists and belongs to another calibration, another process
/// is writing it, logits are not finite, or from the device or the disk; [`Error::Stopped`] if a stop was
/// requested.
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
    let identity = Identity {
        config: prepared.identity().into(),
        device: device::kind(&device, Dtype::F32),
        version: version::words(),
    };
    let images = prepared.conditions.len() as u64;
    let calibrated = |made, halves| Calibrated { file: options.out.clone(), made, images, halves };
    let partial = Sums::place(&options.out);
    // Taken first, so that a killed process's leftovers are removed even if there is nothing else to do.
    let _lock = lock(&options.out)?;
    if options.out.exists() {
        let halves = file::expect(&options.out, &identity)?;
        remove_with_partial(&partial);
        return Ok(calibrated(0, halves));
    }
    let mut sums = Sums::load(&partial, &identity.text())?;
    let found = sums.images;
    let bar = if options.progress { bar("images") } else { ProgressBar::hidden() };
    bar.set_length(images);
    bar.set_position(found);
    let model =
        prepared.load(&LoadOptions { conditions: &prepared.conditions, ..LoadOptions::new(&device) })?;
    let config = &prepared.config;
    let noise = Arc::new(Counter::new(config.seed));
    let generator = Generator::new(model, Arc::clone(&method.rule), Arc::clone(&config.sampler), noise)?;
    let mut saved = Instant::now();
    let numbers: Vec<u64> = (found..images).collect();
    for batch in numbers.chunks(config.batch) {
        let conditions: Vec<Condition> =
            batch.iter().map(|&image| prepared.conditions[image as usize].clone()).collect();
        // A batch counts completely or not at all.
        let mut adding = Adding { sums: sums.clone(), unread: Vec::new() };
        let begun = Batch { images: batch, conditions: &conditions };
        if let Err(error) = generator.batch(begun, &mut adding, &options.stop) {
            if sums.images > 0 {
                sums.save(&partial, &identity.text())?;
            }
            return Err(prepared.model.named_in(error.into()));
        }
        sums = adding.sums;
        sums.images += batch.len() as u64;
        bar.inc(batch.len() as u64);
        if saved.elapsed() > SAVE_EVERY {
            sums.save(&partial, &identity.text())?;
            saved = Instant::now();
        }
    }
    bar.finish_and_clear();
    file::write(&options.out, &sums, prepared, &identity)?;
    remove_with_partial(&partial);
    Ok(calibrated(images - found, file::expect(&options.out, &identity)?))
}

/// What identifies a calibration.
struct Identity {
    config: String,
    device: String,
    version: String,
}

impl Identity {
    /// As files have it.
    fn text(&self) -> String {
        format!("{} {} {}", self.config, self.device, self.version)
    }

    /// Why a file that says `found` is not continued, in words after its name.
    fn difference(&self, found: Option<&str>) -> Option<String> {
        let found = found.unwrap_or_default();
        if found == self.text() {
            return None;
        }
        let device = found
            .strip_prefix(&format!("{} ", self.config))
            .and_then(|rest| rest.strip_suffix(&format!(" {}", self.version)));
        device
            .and_then(|there| other_device(there, &self.device))
            .or_else(|| Some("belongs to another calibration".into()))
    }
}

/// Adds up a batch. On other devices than the CPU each image's positions are summed there, in f32, and read once a
/// batch: rows before columns, so that a sum is off by (width + height)·2⁻²⁴ of the sum of absolute values at most.
struct Adding {
    sums: Sums,
    /// The sums of every image of the scales so far, `[batch · channels]`, with their grids and channels.
    unread: Vec<(Grid, usize, Tensor<1>)>,
}

impl Observer for Adding {
    fn scale(&mut self, seen: &Seen<'_>) -> nextscale_generate::Result<()> {
        let values = seen.guided.values();
        if is_cpu(&values.device()) {
            return Ok(self.sums.add(seen.guided)?);
        }
        let (grid, [batch, _, channels]) = (seen.guided.grid(), values.dims());
        let rows = values.clone().reshape([batch * grid.height, grid.width, channels]).sum_dim(1);
        let sums = rows.reshape([batch, grid.height, channels]).sum_dim(1).reshape([batch * channels]);
        self.unread.push((grid, channels, sums));
        Ok(())
    }

    fn images(&mut self, _: &Tensor<4>) -> nextscale_generate::Result<()> {
        let unread = std::mem::take(&mut self.unread);
        if unread.is_empty() {
            return Ok(());
        }
        let values = floats(Tensor::cat(unread.iter().map(|(.., sums)| sums.clone()).collect(), 0))?;
        let mut rest = &values[..];
        for (grid, channels, sums) in unread {
            let (sums, later) = rest.split_at(sums.dims()[0]);
            self.sums.add_sums(grid, channels, sums);
            rest = later;
        }
        Ok(())
    }
}
