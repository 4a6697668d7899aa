//! `nextscale reconstruct CONFIG IMAGES --out FILE`: a tokenizer's reconstructions of images.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use crate::files::FileKind;
use crate::metrics::source::ImageSource;
use crate::metrics::{Error as MetricsError, ImageBatch};
use crate::pipeline::reconstruct::reconstruct;
use crate::pipeline::{Error, LoadOptions, Registry, Stop, Worker, images};
use crate::shards::{FORMAT, Fact, Piece, Record, ShardFolder, tiles};
use crate::tokenizers::Tokenizer;
use crate::weights::{WeightFile, fingerprint};
use burn::tensor::Device;
use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::device::DeviceArgs;
use super::interrupt::on_interrupt;
use super::recognise::ConfigKind;
use super::say::say;
use super::shards::{ShardArgs, facts, folder_of_file, requeued, tell_share};
use super::{Failure, config_file, data, evaluate, place};
use crate::pipeline::progress;

/// Encode images with a model's tokenizer and decode them again, for `evaluate --rec`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file that names a model, like a run's config: (model: Shipped("cifar10")) is enough. Or a
    /// tokenizer's weights, .pth or .safetensors, with the scales from its header or else the published list
    /// for images of this size
    #[arg(value_name = "CONFIG|TOKENIZER")]
    model: PathBuf,
    /// The images: a folder of images, an .npz file of images (arr_0), a run folder, a cell of an ablation
    /// (DIR/CELL), or a data set in the notation of a training's `data`
    images: PathBuf,
    /// Resize images to squares of this many pixels: the shorter side is resized, the middle of the longer
    /// one kept
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=8192))]
    size: Option<u32>,
    /// The .npz file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Images per batch
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    #[command(flatten)]
    shards: ShardArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Writes the reconstructions, and prints where they are.
pub fn run(args: Args, registry: &Registry) -> Result<(), Failure> {
    let place = args.shards.place()?;
    let _claimed = match place.worker {
        None => Some(evaluate::claim(&args.out)?),
        Some(_) => place::check_file(&args.out).map(|()| None)?,
    };
    let source = data::images(&args.images, args.size)?;
    data::tell_left_out(&source);
    let device = place.device(args.device.device)?.open()?;
    let [height, width] = source.size();
    let Opened { tokenizer, name, weights } = open(&args.model, registry, (height, width), &device)?;
    if tokenizer.image_size() != (height, width) {
        let (rows, columns) = tokenizer.image_size();
        return Err(Failure::Usage(miette::miette!(
            "{} holds images of {width} × {height} pixels, and the model's are {columns} × {rows}; resize them, or use --size",
            args.images.display()
        )));
    }
    let stop = place.stop;
    if let Some(worker) = &place.worker {
        let record = record(&args, &source, weights()?, (worker, &device))?;
        return shard(&args, &source, (&*tokenizer, &name), (worker, &record), &stop).map_err(requeued);
    }
    on_interrupt({
        let stop = stop.clone();
        move || stop.request()
    })?;
    write(&args, &source, (&*tokenizer, &name), &stop)?;
    say!("wrote {}: {} images", args.out.display(), source.count());
    Ok(())
}

/// Finds the fingerprint of weights.
type Fingerprint = Box<dyn FnOnce() -> Result<String, Failure>>;

/// A tokenizer.
struct Opened {
    tokenizer: Arc<dyn Tokenizer>,
    /// Its file or model, in words.
    name: String,
    weights: Fingerprint,
}

/// The tokenizer of a config's model, or of a weight file, for images of `(rows, columns)` pixels.
fn open(
    model: &Path,
    registry: &Registry,
    image: (usize, usize),
    device: &Device,
) -> Result<Opened, Failure> {
    if let Ok(FileKind::Safetensors | FileKind::Zip | FileKind::Pickle) = FileKind::of(model) {
        let unread = |error| Failure::Usage(miette::miette!("{error}"));
        let file = WeightFile::open(model).map_err(unread)?;
        let path = model.to_owned();
        let weights = Box::new(move || fingerprint::of_file(&path).map_err(unread));
        let tokenizer = registry.open_tokenizer(&file, image, device)?;
        return Ok(Opened { tokenizer, name: model.display().to_string(), weights });
    }
    let tree = config_file::read(model, ConfigKind::Run)?;
    let folder = model.parent().unwrap_or(Path::new(""));
    let open = registry.clone().in_folder(folder).open_model(&tree);
    let open = open.map_err(|error| Failure::from(error).placed(&tree, folder))?;
    let options = LoadOptions { with_encoder: true, ..LoadOptions::new(device) };
    let weights = open.fingerprint().to_owned();
    let tokenizer = open.load(&options)?.tokenizer;
    Ok(Opened { tokenizer, name: open.tokenizer_words(), weights: Box::new(|| Ok(weights)) })
}

/// One thread reads and reconstructs while this one writes, with few batches in between.
fn write(
    args: &Args,
    source: &ImageSource,
    tokenizer: (&dyn Tokenizer, &str),
    stop: &Stop,
) -> Result<(), Failure> {
    let [height, width] = source.size();
    let bar = progress::bar("images");
    bar.set_length(source.count());
    let (send, receive) = sync_channel(2 * usize::from(args.batch));
    let written = std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let (mut fault, mut first) = (None, 0);
            let read = source.read(args.batch.into(), |batch| {
                let made = pictures(tokenizer, &batch, first, stop);
                first += batch.count as u64;
                match made {
                    Ok(pictures) => pictures.into_iter().for_each(|picture| {
                        // If writing has failed, the receiver is gone; that failure is reported
                        // instead.
                        let _ = send.send(picture);
                    }),
                    Err(error) => {
                        fault = Some(error);
                        return Err(MetricsError::Pixels("reconstruction failed".into()));
                    }
                }
                Ok(())
            });
            match (fault, read) {
                (Some(fault), _) => Err(fault.into()),
                (None, read) => read.map_err(super::failure::failure),
            }
        });
        let written = images::write_npz(&args.out, source.count() as usize, (height, width), None, |_| {
            bar.inc(1);
            receive.recv().map_err(|_| Error::Stopped)
        });
        drop(receive);
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // If both failed, reading failed first.
        read.and(written.map_err(Failure::from))
    });
    bar.finish_and_clear();
    written
}

/// The only series of the shards.
const SERIES: &str = "images";
/// The command whose shards these are.
const COMMAND: &str = "reconstruct";

/// What a merge needs to know.
#[derive(Debug, Serialize, Deserialize)]
struct Plan {
    height: usize,
    width: usize,
}

/// A worker's share of the reconstructions, a batch a file.
fn shard(
    args: &Args,
    source: &ImageSource,
    tokenizer: (&dyn Tokenizer, &str),
    (worker, record): (&Worker, &Record),
    stop: &Stop,
) -> Result<(), Failure> {
    let [height, width] = source.size();
    let folder = ShardFolder::open(&folder_of_file(&args.out), record)?;
    let claims = folder.claim(SERIES, worker.shard.range(source.count()))?;
    let bar = progress::bar("images");
    bar.set_length(claims.count());
    let mut made = 0;
    for claim in &claims.mine {
        let mut first = claim.range.start;
        let mut fault: Option<Failure> = None;
        let read = source.read_range(claim.range.clone(), args.batch.into(), |batch| {
            let range = first..first + batch.count as u64;
            let written = stop.check().map_err(Error::from).and_then(|()| {
                // The batch at hand is finished.
                let pictures = pictures(tokenizer, &batch, range.start, &Stop::new())?;
                let path = folder.file(SERIES, &range, "npz");
                images::write_npz(&path, batch.count, (height, width), None, |i| Ok(pictures[i].clone()))
            });
            first = range.end;
            made += batch.count as u64;
            bar.inc(batch.count as u64);
            written.map_err(|error| {
                fault = Some(error.into());
                MetricsError::Pixels("reconstruction failed".into())
            })
        });
        match fault {
            Some(fault) => return Err(fault),
            None => read.map_err(super::failure::failure)?,
        }
    }
    bar.finish_and_clear();
    tell_share(worker, "images", [made, claims.done, claims.elsewhere], &args.out);
    Ok(())
}

fn record(
    args: &Args,
    source: &ImageSource,
    weights: String,
    (worker, device): (&Worker, &Device),
) -> Result<Record, Failure> {
    let [height, width] = source.size();
    let again = "repeat the first shard's arguments, or name another file with --out";
    let mut facts = facts(device);
    facts.extend([
        Fact::new("tokenizer, by its weights", weights).or(again),
        // By its name: hashing its images would take every worker as long as the work.
        Fact::new("set of images", args.images.display().to_string()).or(again),
        Fact::new("size of images", format!("{width} × {height}")).or(again),
    ]);
    let plan = Plan { height, width };
    Ok(Record {
        format: FORMAT,
        command: COMMAND.into(),
        facts,
        images: source.count(),
        series: vec![SERIES.into()],
        begun_by: worker.to_string(),
        merge: serde_json::to_value(plan).map_err(|error| Failure::Run(miette::miette!("{error}")))?,
    })
}

/// Merges the shards of reconstructions into `file`; returns how many images there are.
pub(super) fn merge(
    shards: ShardFolder,
    file: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, Failure> {
    let images = shards.record().images;
    let other = || {
        let path = shards.path().display();
        Failure::Usage(miette::miette!(
            "{path} has shards of another command or another version of this program"
        ))
    };
    if shards.record().command != COMMAND {
        return Err(other());
    }
    let Plan { height, width } =
        serde_json::from_value(shards.record().merge.clone()).map_err(|_| other())?;
    let lock = shards.lock_for_merge()?;
    let pieces = shards.pieces(SERIES)?;
    tiles(&pieces, images, &shards.path().display().to_string())?;
    let mut rest = pieces.iter();
    let mut pictures = Vec::new().into_iter();
    images::write_npz(file, images as usize, (height, width), None, |image| {
        loop {
            if let Some(picture) = pictures.next() {
                progress(image as u64 + 1, images);
                return Ok(picture);
            }
            let piece = rest.next().ok_or(Error::Stopped)?;
            pictures = read(piece).map_err(|error| Error::Usage(error.to_string()))?.into_iter();
        }
    })?;
    drop(lock);
    shards.remove()?;
    Ok(images)
}

/// The images of a piece.
fn read(piece: &Piece) -> Result<Vec<RgbImage>, MetricsError> {
    let source = ImageSource::open(&piece.path)?;
    let expected = piece.range.end - piece.range.start;
    if source.count() != expected {
        let (path, count) = (piece.path.display(), source.count());
        return Err(MetricsError::Pixels(format!(
            "{path} holds {count} images and not {expected}; delete it"
        )));
    }
    let mut pictures = Vec::new();
    source.read(expected as usize, |batch| {
        pictures.extend(pictures_of(&batch));
        Ok(())
    })?;
    Ok(pictures)
}

fn pictures_of(batch: &ImageBatch) -> Vec<RgbImage> {
    let size = batch.height * batch.width * 3;
    let picture =
        |pixels: &[u8]| RgbImage::from_raw(batch.width as u32, batch.height as u32, pixels.to_vec());
    batch.pixels.chunks_exact(size).filter_map(picture).collect()
}

/// The reconstructions of a batch whose first image is number `first`, by a tokenizer with its name.
fn pictures(
    (tokenizer, name): (&dyn Tokenizer, &str),
    batch: &ImageBatch,
    first: u64,
    stop: &Stop,
) -> Result<Vec<RgbImage>, Error> {
    stop.check()?;
    let given = images::to_tensor(&pictures_of(batch), &tokenizer.device());
    let made = reconstruct(tokenizer, given).and_then(|made| Ok(images::to_pictures(made)?));
    made.map_err(|error| match error {
        Error::Core(error) => {
            let numbers: Vec<u64> = (first..first + batch.count as u64).collect();
            error.of_images(&numbers).of_model(name).into()
        }
        other => other,
    })
}
