//! `nextscale reconstruct CONFIG IMAGES --out FILE`: a tokenizer's reconstructions of images.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use crate::files::FileKind;
use crate::metrics::source::ImageSource;
use crate::metrics::{Error as MetricsError, ImageBatch};
use crate::pipeline::reconstruct::reconstruct;
use crate::pipeline::{Error, LoadOptions, Registry, Stop, images};
use crate::tokenizers::Tokenizer;
use crate::weights::WeightFile;
use burn::tensor::Device;
use image::RgbImage;

use super::device::DeviceArgs;
use super::interrupt::on_interrupt;
use super::recognise::ConfigKind;
use super::say::say;
use super::{Failure, config_file, data, evaluate};
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
    device: DeviceArgs,
}

/// Writes the reconstructions, and prints where they are.
pub fn run(args: Args, registry: &Registry) -> Result<(), Failure> {
    let _claimed = evaluate::claim(&args.out)?;
    let source = data::images(&args.images, args.size)?;
    data::tell_left_out(&source);
    let device = args.device.device.open()?;
    let [height, width] = source.size();
    let tokenizer = open(&args.model, registry, (height, width), &device)?;
    if tokenizer.image_size() != (height, width) {
        let (rows, columns) = tokenizer.image_size();
        return Err(Failure::Usage(miette::miette!(
            "{} holds images of {width} × {height} pixels, and the model's are {columns} × {rows}; resize them, or use --size",
            args.images.display()
        )));
    }
    let stop = Stop::new();
    on_interrupt({
        let stop = stop.clone();
        move || stop.request()
    })?;
    write(&args, &source, &*tokenizer, &stop)?;
    say!("wrote {}: {} images", args.out.display(), source.count());
    Ok(())
}

/// The tokenizer of a config's model, or of a weight file, for images of `(rows, columns)` pixels.
fn open(
    model: &Path,
    registry: &Registry,
    image: (usize, usize),
    device: &Device,
) -> Result<Arc<dyn Tokenizer>, Failure> {
    if let Ok(FileKind::Safetensors | FileKind::Zip | FileKind::Pickle) = FileKind::of(model) {
        let file = WeightFile::open(model).map_err(|error| Failure::Usage(miette::miette!("{error}")))?;
        return Ok(registry.open_tokenizer(&file, image, device)?);
    }
    let tree = config_file::read(model, ConfigKind::Run)?;
    let folder = model.parent().unwrap_or(Path::new(""));
    let open = registry.clone().in_folder(folder).open_model(&tree)?;
    let options = LoadOptions { with_encoder: true, ..LoadOptions::new(device) };
    Ok(open.load(&options)?.tokenizer)
}

/// One thread reads and reconstructs while this one writes, with few batches in between.
fn write(args: &Args, source: &ImageSource, tokenizer: &dyn Tokenizer, stop: &Stop) -> Result<(), Failure> {
    let [height, width] = source.size();
    let bar = progress::bar("images");
    bar.set_length(source.count());
    let (send, receive) = sync_channel(2 * usize::from(args.batch));
    let written = std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut fault = None;
            let read = source.read(args.batch.into(), |batch| {
                match pictures(tokenizer, &batch, stop) {
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

fn pictures(tokenizer: &dyn Tokenizer, batch: &ImageBatch, stop: &Stop) -> Result<Vec<RgbImage>, Error> {
    stop.check()?;
    let size = batch.height * batch.width * 3;
    let pictures = batch
        .pixels
        .chunks_exact(size)
        .filter_map(|pixels| RgbImage::from_raw(batch.width as u32, batch.height as u32, pixels.to_vec()));
    let given = images::to_tensor(&pictures.collect::<Vec<_>>(), &tokenizer.device());
    Ok(images::to_pictures(reconstruct(tokenizer, given)?)?)
}
