//! From a prepared config to a folder of images.

mod overview;
mod summary;

pub use summary::{Kept, Summary, peak_memory};

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor};
use indicatif::ProgressBar;
use nextscale_core::{Condition, Dtype};
use nextscale_files::run::{FORMAT, Manifest, Opened, RunFolder};
use rayon::prelude::*;

use crate::config::{Given, folder_of};
use crate::device::{DeviceChoice, kind};
use crate::progress::bar;
use crate::trace::about;
use crate::{Batch, Error, Generator, LoadOptions, Model, Prepared, Result, Stop, Trace, images, version};
use nextscale_core::noise::Counter;
use nextscale_generate::observe::{Observer, Part, Seen, Times};

/// Execution options. Only the device kind and the dtype can change the images, in their last digits.
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
    let manifest = Manifest {
        format: FORMAT,
        version: version::words(),
        config: prepared.identity().into(),
        weights: prepared.weights(),
        device: kind(&device, options.dtype),
        folders: prepared.folders(),
        images: prepared.conditions.len() as u64,
    };
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
            Ok(summary)
        }
    }
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
    if count > 0 {
        let loading = Instant::now();
        let model = prepared.load(&LoadOptions {
            device,
            dtype: options.dtype,
            with_encoder: config.edit.is_some(),
            conditions: &prepared.conditions,
        })?;
        let given = config.edit.as_ref().map(|edit| edit.load(&*model.tokenizer)).transpose()?;
        summary.kept = given.as_ref().map(|given| Kept::new(given.reconstruction));
        summary.loading = loading.elapsed();
        tracing::info!(images = count, seconds = summary.loading.as_secs_f64(), "the model is loaded");
        for (variant, trace) in traces(prepared, options).iter().enumerate() {
            let job = Job { prepared, options, folder, variant, missing: &missing[variant], bar: &bar };
            job.run(&model, given.as_ref(), trace.as_deref(), summary)?;
        }
    } else {
        // Killed between the last image and the renaming of its trace.
        for (variant, trace) in traces(prepared, options).iter().enumerate() {
            let job = Job { prepared, options, folder, variant, missing: &[], bar: &bar };
            let total = prepared.conditions.len() as u64;
            let begun = trace.as_deref().map(|path| job.begin_trace(path, total)).transpose()?.flatten();
            begun.map_or(Ok(()), Trace::finish)?;
        }
    }
    bar.finish_and_clear();
    let writing = Instant::now();
    overview::write(prepared, folder)?;
    summary.times.add(Part::Writing, writing.elapsed());
    Ok(())
}

/// The missing images of one rule.
struct Job<'a> {
    prepared: &'a Prepared,
    options: &'a RunOptions,
    folder: &'a RunFolder,
    variant: usize,
    missing: &'a [u64],
    bar: &'a ProgressBar,
}

impl Job<'_> {
    fn run(
        &self,
        model: &Model,
        given: Option<&Given>,
        trace: Option<&Path>,
        summary: &mut Summary,
    ) -> Result<()> {
        let config = &self.prepared.config;
        let total = self.prepared.conditions.len() as u64;
        let mut trace = trace.map(|path| self.begin_trace(path, total)).transpose()?.flatten();
        let rule = Arc::clone(&config.methods[self.variant].rule);
        let noise = Arc::new(Counter::new(config.seed));
        let mut generator = Generator::new(model.clone(), rule, Arc::clone(&config.sampler), noise)?;
        if let Some(given) = given {
            generator = generator.with_edit(given.edit.clone());
        }
        for images in self.missing.chunks(config.batch) {
            if let Err(error) = self.batch(&generator, images, (given, trace.as_mut()), summary) {
                if let Some(trace) = trace
                    && self.folder.missing(self.variant).len() as u64 == total
                {
                    trace.discard();
                }
                return Err(error);
            }
        }
        trace.map_or(Ok(()), Trace::finish)
    }

    /// The trace to write; `None` if it is complete already.
    fn begin_trace(&self, path: &Path, total: u64) -> Result<Option<Trace>> {
        let method = &self.prepared.folders()[self.variant];
        let spec = &self.prepared.config.trace;
        let about = about(self.prepared, self.variant, spec);
        let fingerprint = format!("{} {method}", self.prepared.identity());
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

    fn batch(
        &self,
        generator: &Generator,
        images: &[u64],
        (given, trace): (Option<&Given>, Option<&mut Trace>),
        summary: &mut Summary,
    ) -> Result<()> {
        self.options.stop.check()?;
        let conditions: Vec<Condition> =
            images.iter().map(|&image| self.prepared.conditions[image as usize].clone()).collect();
        let batch = Batch { images, conditions: &conditions };
        let exact = self.options.exact_times;
        let mut watch = Watch { times: &mut summary.times, trace, exact };
        let pixels = generator
            .batch(batch, &mut watch, &self.options.stop)
            .map_err(|error| self.prepared.model.named_in(error))?;
        let reading = Instant::now();
        let mut pictures = images::to_pictures_rounded(pixels, self.prepared.config.rounding)?;
        if let Some(given) = given {
            for (picture, &image) in pictures.iter_mut().zip(images) {
                if let Some(kept) = &mut summary.kept {
                    kept.add(given.error(image, picture));
                }
                given.paste(image, picture);
            }
        }
        watch.times.add(Part::Decoding, reading.elapsed());
        let writing = Instant::now();
        // The trace first: an image on disk counts as finished.
        if let Some(trace) = &mut watch.trace {
            trace.store(images)?;
        }
        pictures.par_iter().zip(images).try_for_each(|(picture, &image)| {
            images::write_png(&self.folder.image(self.variant, image), picture)?;
            self.bar.inc(1);
            Ok::<_, Error>(())
        })?;
        summary.made += images.len() as u64;
        tracing::debug!(
            variant = self.variant,
            first = images.first(),
            count = images.len(),
            "a batch is written"
        );
        summary.times.add(Part::Writing, writing.elapsed());
        Ok(())
    }
}

/// What a run observes in a batch.
struct Watch<'a> {
    times: &'a mut Times,
    trace: Option<&'a mut Trace>,
    exact: bool,
}

impl Watch<'_> {
    fn traced(
        &mut self,
        see: impl FnOnce(&mut Trace) -> nextscale_generate::Result<()>,
    ) -> nextscale_generate::Result<()> {
        let Some(trace) = &mut self.trace else { return Ok(()) };
        let begin = Instant::now();
        see(trace)?;
        self.times.add(Part::Writing, begin.elapsed());
        Ok(())
    }
}

impl Observer for Watch<'_> {
    fn scale(&mut self, seen: &Seen<'_>) -> nextscale_generate::Result<()> {
        self.traced(|trace| trace.scale(seen))
    }

    fn images(&mut self, images: &Tensor<4>) -> nextscale_generate::Result<()> {
        self.traced(|trace| trace.images(images))
    }

    fn part(&mut self, part: Part, time: Duration) {
        self.times.add(part, time);
    }

    fn wants_prior(&self) -> bool {
        self.trace.as_ref().is_some_and(|trace| trace.keeps_priors())
    }

    fn exact_times(&self) -> bool {
        self.exact
    }
}
