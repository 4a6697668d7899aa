//! A run's shard: some of its images, in pieces that `merge` puts together.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use burn::tensor::Device;
use indicatif::ProgressBar;
use nextscale_core::Condition;
use nextscale_files::run::{Manifest, image_name, place_of_shards};
use nextscale_generate::observe::Part;
use nextscale_shards::{Claims, FORMAT, Fact, Record, Shard, ShardFolder};
use serde::{Deserialize, Serialize};

use super::job::{Drawn, Job, Loaded, overlapped};
use super::overview::Overview;
use super::summary::{Share, Summary, peak_memory};
use super::{RunOptions, check_traces, fingerprint, manifest, traces};
use crate::device::{arithmetic, kind_and_type, route};
use crate::progress::bar;
use crate::trace::{Whole, about};
use crate::{Error, Prepared, Result, Stop, Trace};

/// The command whose shards these are.
pub(super) const COMMAND: &str = "generate";
/// The trace in the folder of a piece.
pub(super) const TRACE: &str = "trace.safetensors";

/// One of several processes that make a run together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Its share.
    pub shard: Shard,
    /// What said which share is its: "--shard", or a variable of its launcher.
    pub from: String,
}

impl std::fmt::Display for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, from {}", self.shard, self.from)
    }
}

/// What `merge` needs to know of a run besides its images.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub manifest: Manifest,
    /// The resolved config's text.
    pub config: String,
    pub overview: Overview,
    /// Of every rule, if a trace is written.
    pub traces: Vec<Whole>,
}

/// Generates what is missing of a worker's share, in OUT/shards.
///
/// # Errors
/// Anything from the device to the disk. Finished batches are kept. On a request to stop, the batch at hand is
/// finished first.
pub fn run_shard(prepared: &Prepared, options: &RunOptions, worker: &Worker) -> Result<Summary> {
    let begin = Instant::now();
    let device = options.device.open()?;
    check_traces(prepared, options)?;
    let manifest = manifest(prepared, options, &device);
    let mut summary = Summary::new(&options.out, options.device.decide(), options.dtype);
    summary.share = Some(Share { shard: worker.shard, elsewhere: 0 });
    let Some(root) = place_of_shards(&options.out, &manifest)? else {
        summary.found = manifest.images * manifest.folders.len() as u64;
        summary.share = None;
        return Ok(summary);
    };
    let record = record(prepared, options, worker, &device, manifest)?;
    let folder = ShardFolder::open(&root, &record)?;
    if let Err(error) = fill(prepared, options, worker, &device, &folder, &mut summary) {
        // Stopped workers come again, and others with them.
        if !matches!(error, Error::Stopped) {
            folder.discard_if_empty();
        }
        return Err(error);
    }
    summary.wall = begin.elapsed();
    summary.peak_memory = peak_memory();
    summary.route = Some(route(&device));
    Ok(summary)
}

fn record(
    prepared: &Prepared,
    options: &RunOptions,
    worker: &Worker,
    device: &Device,
    manifest: Manifest,
) -> Result<Record> {
    let images = manifest.images;
    let mut wholes = Vec::new();
    for (variant, path) in traces(prepared, options).into_iter().enumerate() {
        let Some(path) = path else { continue };
        // The merge may run in another folder.
        let path = std::path::absolute(&path).map_err(Error::io("find", &path))?;
        let spec = &prepared.config.trace;
        let about = about(prepared, variant, spec);
        wholes.push(Whole::new(path, images, &fingerprint(prepared, variant, &manifest.device), spec, about));
    }
    let told: Vec<String> = wholes.iter().map(|whole| whole.path().display().to_string()).collect();
    let traced = if told.is_empty() { "none".into() } else { told.join(", ") };
    let facts = vec![
        Fact::new("version of this program", &*manifest.version),
        Fact::new("seed", prepared.config.seed.to_string()),
        Fact::new("model, by its weights", &*manifest.weights),
        Fact::new("device or type", kind_and_type(device, options.dtype))
            .or("start every shard with the same --device and --dtype, or choose another folder with --out"),
        Fact::new("arithmetic", arithmetic(device, options.dtype)).or(
            "the last digits of images would differ: start every shard with the same NEXTSCALE_ROUTE (every x86-64 \
             processor with FMA has `fma`), or choose another folder with --out",
        ),
        Fact::new("config", &*manifest.config),
        Fact::new("trace", traced).or("start every shard with the same --trace"),
    ];
    let plan = Plan {
        config: format!("{}\n", prepared.resolved().to_ron_string()),
        overview: Overview::of(prepared),
        traces: wholes,
        manifest,
    };
    Ok(Record {
        format: FORMAT,
        command: COMMAND.into(),
        facts,
        images,
        series: plan.manifest.folders.clone(),
        begun_by: worker.to_string(),
        merge: serde_json::to_value(&plan).map_err(|error| Error::Usage(error.to_string()))?,
    })
}

fn fill(
    prepared: &Prepared,
    options: &RunOptions,
    worker: &Worker,
    device: &Device,
    folder: &ShardFolder,
    summary: &mut Summary,
) -> Result<()> {
    let range = worker.shard.range(prepared.conditions.len() as u64);
    let series = prepared.folders();
    let claims = series.iter().map(|series| Ok(folder.claim(series, range.clone())?));
    let claims: Vec<Claims> = claims.collect::<Result<_>>()?;
    let count = claims.iter().map(Claims::count).sum();
    summary.found = claims.iter().map(|claims| claims.done).sum();
    let elsewhere = claims.iter().map(|claims| claims.elsewhere).sum();
    summary.share = Some(Share { shard: worker.shard, elsewhere });
    if count == 0 {
        return Ok(());
    }
    let bar = if options.progress { bar("images") } else { ProgressBar::hidden() };
    bar.set_length(count);
    options.stop.check()?;
    // Texts of other shards need not be encoded here.
    let claimed: BTreeSet<u64> =
        claims.iter().flat_map(|claims| &claims.mine).flat_map(|claim| claim.range.clone()).collect();
    let conditions: Vec<Condition> =
        claimed.into_iter().map(|image| prepared.conditions[image as usize].clone()).collect();
    let loaded = Loaded::new(prepared, options, device, (count, &conditions), summary)?;
    let traced = options.trace.is_some();
    for (variant, claims) in claims.into_iter().enumerate() {
        let job = Job::new(prepared, options, variant, &loaded, &bar)?;
        let size = prepared.config.batch as u64;
        // Claims last until everything is written.
        let batches = claims.mine.iter().flat_map(|claim| batches(claim.range.clone(), size));
        if traced {
            for batch in batches {
                options.stop.check()?;
                folder.write_folder(&series[variant], &batch, |path| {
                    traced_piece(prepared, &job, &batch, path, summary)
                })?;
            }
            continue;
        }
        // A launcher's warning comes early enough for the batches at hand.
        let ready = batches.map(|batch| options.stop.check().map(|()| batch.collect()));
        let write = |drawn: Drawn| {
            let images = drawn.images();
            let batch = images.first().map_or(0..0, |&first| first..first + images.len() as u64);
            folder.write_folder(&series[variant], &batch, |path| {
                job.write(&drawn, &|image| path.join(image_name(image)))
            })
        };
        let (made, writing) = overlapped(|see| job.draw_all(ready, None, &Stop::new(), summary, see), write);
        summary.times.add(Part::Writing, writing);
        made?;
    }
    bar.finish_and_clear();
    Ok(())
}

/// A batch of images, with its trace, in a folder that is not there yet under its name.
fn traced_piece(
    prepared: &Prepared,
    job: &Job<'_>,
    batch: &Range<u64>,
    path: &Path,
    summary: &mut Summary,
) -> Result<()> {
    let images: Vec<u64> = batch.clone().collect();
    let total = prepared.conditions.len() as u64;
    let spec = prepared.config.trace.part(&images);
    let trace = spec.map(|spec| Trace::new(&path.join(TRACE), total, "", &spec, Default::default()));
    let mut trace = trace.transpose()?;
    let drawn = job.draw(&images, trace.as_mut(), &Stop::new(), summary)?;
    job.write(&drawn, &|image| path.join(image_name(image)))?;
    trace.map_or(Ok(()), Trace::finish)
}

fn batches(range: Range<u64>, size: u64) -> impl Iterator<Item = Range<u64>> {
    let end = range.end;
    range.step_by(size.max(1) as usize).map(move |first| first..end.min(first + size.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::single_range_in_vec_init)] // one range is meant
    fn batches_tile_a_range() {
        assert_eq!(batches(5..13, 3).collect::<Vec<_>>(), [5..8, 8..11, 11..13]);
        assert_eq!(batches(0..2, 50).collect::<Vec<_>>(), [0..2]);
        assert_eq!(batches(4..4, 3).count(), 0);
    }
}
