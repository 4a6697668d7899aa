//! From a prepared config to a folder of images.

mod job;
mod merge;
mod overview;
mod shards;
mod summary;

pub use merge::{Merged, merge};
pub use shards::{Worker, run_shard};
pub use summary::{Kept, Share, Summary, peak_memory};

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::Device;
use indicatif::ProgressBar;
use nextscale_core::Dtype;
use nextscale_files::run::{FORMAT, Manifest, Opened, RunFolder};

use crate::config::folder_of;
use crate::device::{DeviceChoice, kind, route};
use crate::progress::bar;
use crate::trace::about;
use crate::{Error, Prepared, Result, Stop, Trace, version};
use job::{Job, Loaded, overlapped};
use nextscale_generate::observe::Part;
use overview::Overview;

/// Execution options. Only the device kind, the CPU's route and the dtype can change the images, in their last
/// digits.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The folder to write.
    pub out: PathBuf,
    /// Where to write a trace; with variants, one file each, `NAME.VARIANT.safetensors`.
    pub trace: Option<PathBuf>,
    /// The device.
    pub device: DeviceChoice,
    /// The type in which linear layers and the decoder's convolutions multiply.
    pub dtype: Dtype,
    /// Whether to show progress on standard error.
    pub progress: bool,
    /// Whether to wait for the device after every part, so that its seconds are exact.
    pub exact_times: bool,
    /// For requests to stop.
    pub stop: Stop,
}

impl RunOptions {
    /// A silent run on the CPU.
    pub fn new(out: impl Into<PathBuf>) -> Self {
        Self {
            out: out.into(),
            trace: None,
            device: DeviceChoice::Cpu,
            dtype: Dtype::F32,
            progress: false,
            exact_times: false,
            stop: Stop::new(),
        }
    }
}

/// Generates the missing images.
///
/// # Errors
/// Anything from the device to the disk. Finished images are kept, and the same run resumes from there; a run
/// that failed before its first image leaves nothing behind.
pub fn run(prepared: &Prepared, options: &RunOptions) -> Result<Summary> {
    let begin = Instant::now();
    let device = options.device.open()?;
    check_traces(prepared, options)?;
    let manifest = manifest(prepared, options, &device);
    let mut summary = Summary::new(&options.out, options.device.decide(), options.dtype);
    let config = format!("{}\n", prepared.resolved().to_ron_string());
    match RunFolder::open(&options.out, &manifest, &config)? {
        Opened::Complete(_) if traces(prepared, options).iter().flatten().any(|path| !path.exists()) => {
            Err(Error::Folder(format!(
                "{} is complete, and a trace cannot be written afterwards; choose another folder with --out",
                options.out.display()
            )))
        }
        Opened::Complete(_) => {
            summary.found = manifest.images * manifest.folders.len() as u64;
            Ok(summary)
        }
        Opened::Unfinished(folder) => {
            if let Err(error) = fill(prepared, options, &device, &folder, &mut summary) {
                folder.discard_if_empty();
                return Err(error);
            }
            folder.finish()?;
            summary.wall = begin.elapsed();
            summary.peak_memory = peak_memory();
            summary.route = Some(route(&device));
            Ok(summary)
        }
    }
}

/// What identifies the run's images.
fn manifest(prepared: &Prepared, options: &RunOptions, device: &Device) -> Manifest {
    Manifest {
        format: FORMAT,
        version: version::words(),
        config: prepared.identity().into(),
        weights: prepared.weights(),
        device: kind(device, options.dtype),
        folders: prepared.folders(),
        images: prepared.conditions.len() as u64,
    }
}

/// Whether the traces could be written: checked before the work, not after.
fn check_traces(prepared: &Prepared, options: &RunOptions) -> Result<()> {
    for path in traces(prepared, options).iter().flatten() {
        if path.is_dir() {
            let path = path.display();
            return Err(Error::Usage(format!(
                "{path} is a folder; name a file for the trace, like {path}/trace.safetensors"
            )));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return Err(Error::Usage(format!(
                "there is no folder {} for the trace; create it first",
                folder.display()
            )));
        }
    }
    Ok(())
}

/// Where each rule's trace is written.
fn traces(prepared: &Prepared, options: &RunOptions) -> Vec<Option<PathBuf>> {
    let path = |name: Option<&str>| {
        let trace = options.trace.as_ref()?;
        let Some(name) = name else { return Some(trace.clone()) };
        let stem = trace.file_stem().unwrap_or_default().to_string_lossy();
        let extension = trace.extension().map_or("safetensors".into(), |e| e.to_string_lossy());
        Some(trace.with_file_name(format!("{stem}.{}.{extension}", folder_of(name))))
    };
    prepared.config.methods.iter().map(|method| path(method.name.as_deref())).collect()
}

fn fill(
    prepared: &Prepared,
    options: &RunOptions,
    device: &Device,
    folder: &RunFolder,
    summary: &mut Summary,
) -> Result<()> {
    let config = &prepared.config;
    let missing: Vec<Vec<u64>> = (0..config.methods.len()).map(|variant| folder.missing(variant)).collect();
    let count = missing.iter().map(Vec::len).sum::<usize>() as u64;
    let bar = if options.progress { bar("images") } else { ProgressBar::hidden() };
    bar.set_length(count);
    summary.found = (prepared.conditions.len() * missing.len()) as u64 - count;
    let traces = traces(prepared, options);
    let kind = kind(device, options.dtype);
    if count > 0 {
        let loaded = Loaded::new(prepared, options, device, (count, &prepared.conditions), summary)?;
        for (variant, trace) in traces.iter().enumerate() {
            let job = Job::new(prepared, options, variant, &loaded, &bar)?;
            let part = Missing { prepared, folder, variant, missing: &missing[variant], device: &kind };
            part.run(&job, trace.as_deref(), &options.stop, summary)?;
        }
    } else {
        // Killed between the last image and the renaming of its trace.
        for (variant, trace) in traces.iter().enumerate() {
            let part = Missing { prepared, folder, variant, missing: &[], device: &kind };
            let begun = trace.as_deref().map(|path| part.begin_trace(path)).transpose()?.flatten();
            begun.map_or(Ok(()), Trace::finish)?;
        }
    }
    bar.finish_and_clear();
    let writing = Instant::now();
    overview::write(&Overview::of(prepared), folder)?;
    summary.times.add(Part::Writing, writing.elapsed());
    Ok(())
}

/// The missing images of one rule in a run's folder.
struct Missing<'a> {
    prepared: &'a Prepared,
    folder: &'a RunFolder,
    variant: usize,
    missing: &'a [u64],
    /// The name of the device.
    device: &'a str,
}

impl Missing<'_> {
    fn run(&self, job: &Job<'_>, trace: Option<&Path>, stop: &Stop, summary: &mut Summary) -> Result<()> {
        let total = self.prepared.conditions.len() as u64;
        let mut trace = trace.map(|path| self.begin_trace(path)).transpose()?.flatten();
        let place = |image: u64| self.folder.image(self.variant, image);
        let batches = self.missing.chunks(self.prepared.config.batch);
        let batches = batches.map(|images| stop.check().map(|()| images.to_vec()));
        let (made, writing) = overlapped(
            |see| job.draw_all(batches, trace.as_mut(), stop, summary, see),
            |drawn| job.write(&drawn, &place),
        );
        summary.times.add(Part::Writing, writing);
        if let Err(error) = made {
            if let Some(trace) = trace
                && self.folder.missing(self.variant).len() as u64 == total
            {
                trace.discard();
            }
            return Err(error);
        }
        trace.map_or(Ok(()), Trace::finish)
    }

    /// The trace to write; `None` if it is complete already.
    fn begin_trace(&self, path: &Path) -> Result<Option<Trace>> {
        let total = self.prepared.conditions.len() as u64;
        let spec = &self.prepared.config.trace;
        let about = about(self.prepared, self.variant, spec);
        let fingerprint = fingerprint(self.prepared, self.variant, self.device);
        let trace = Trace::new(path, total, &fingerprint, spec, about)?;
        // Of the kept images.
        let missing = self.missing.iter().filter(|&&image| spec.place(image).is_some()).count() as u64;
        let total = spec.count(total);
        match (missing, trace.is_begun()) {
            (0, false) if path.exists() => Ok(None),
            (missing, false) if missing < total => Err(Error::Folder(format!(
                "{} has finished images without a trace; choose another folder with --out, or leave out --trace",
                self.folder.path().display()
            ))),
            _ => Ok(Some(trace)),
        }
    }
}

/// What identifies the run that a rule's trace is of.
fn fingerprint(prepared: &Prepared, variant: usize, device: &str) -> String {
    format!("{} {} on {device}", prepared.identity(), prepared.folders()[variant])
}
