//! `nextscale neighbours IMAGES --data DATA --out SHEET`: whether images are copies of training images
//! (memorisation).

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::metrics::source::ImageSource;
use crate::metrics::{Error, FeatureNet, ImageBatch, Lite0, NearestNeighbours, Neighbour};
use crate::pipeline::images::{LabelledGrid, write_png};
use image::RgbImage;

use super::Failure;
use super::data::{BATCH, Data, batch, images, tell_left_out};
use super::device::DeviceArgs;
use super::evaluate::{claim, lite0};
use super::failure::failure;
use super::say::say;
use crate::pipeline::progress;

/// Held-out images, whose distances to the training images serve as a yardstick.
const HELD_OUT: usize = 500;

/// Show images beside their nearest training images, by distance of the shipped features
///
/// Also prints the distances and, if the data set has held-out images, how near those are to the training
/// images.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The images: a folder of images, an .npz file of images (arr_0), a run folder, a cell of an ablation
    /// (DIR/CELL), or a data set in the notation of a training's `data`
    images: PathBuf,
    /// The training images: a folder of CIFAR-10 or Fashion-MNIST, a data set in the notation of a training's
    /// `data`, or images as for IMAGES
    #[arg(long)]
    data: PathBuf,
    /// Resize images to squares of this many pixels: the shorter side is resized, the middle of the longer
    /// one kept
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=8192))]
    size: Option<u32>,
    /// The PNG file to write: each row is an image and its nearest training images, nearest first
    #[arg(long, value_name = "SHEET")]
    out: PathBuf,
    /// Training images to show beside each image
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
    /// How many of the images to show, spread evenly
    #[arg(long = "images", value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    shown_images: u16,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Searches, prints and draws.
pub fn run(args: Args) -> Result<(), Failure> {
    let _claimed = claim(&args.out)?;
    let source = images(&args.images, args.size)?;
    let data = Data::open(&args.data, args.size)?;
    tell_left_out(&source);
    if let Data::Images(training) = &data {
        tell_left_out(training);
    }
    let net = lite0(&args.device)?;
    let picks = evenly(source.count(), args.shown_images.into());
    let shown = some(&source, &picks).map_err(failure)?;
    let search = |few: &ImageBatch, count| {
        let features = net.extract(few)?;
        NearestNeighbours::new(features.pooled, features.dims, count)
    };
    let mut nearest = search(&shown, args.count.into()).map_err(failure)?;
    let mut yardstick = match &data {
        Data::Set(set) => {
            let few = evenly(set.test.len() as u64, HELD_OUT).into_iter().map(|index| index as usize);
            search(&batch(&set.test, &few.collect::<Vec<_>>())?, 1)
        }
        Data::Images(_) => NearestNeighbours::new(Vec::new(), net.dims(), 1),
    }
    .map_err(failure)?;
    let pictures = pass(&net, &data, &mut nearest, &mut yardstick)?;
    let mut held_out: Vec<f64> =
        yardstick.found().iter().flatten().map(|neighbour| neighbour.distance).collect();
    held_out.sort_by(f64::total_cmp);
    print(&picks, nearest.found(), &held_out);
    let row = |(image, found): (usize, &Vec<Neighbour>)| {
        let near = found.iter().filter_map(|neighbour| pictures.get(&neighbour.index).cloned());
        picture(&shown, image).into_iter().chain(near).collect()
    };
    let cells = nearest.found().iter().enumerate().map(row).collect();
    let sheet = LabelledGrid { cells, ..LabelledGrid::default() }.draw();
    write_png(&args.out, &sheet)?;
    say!("wrote {}", args.out.display());
    Ok(())
}

/// This many indices below `count`, evenly spaced, or all.
fn evenly(count: u64, few: usize) -> Vec<u64> {
    let few = count.min(few as u64);
    (0..few).map(|i| i * count / few).collect()
}

/// Some images of a set, by ascending index.
fn some(source: &ImageSource, picks: &[u64]) -> Result<ImageBatch, Error> {
    let (mut pixels, mut first) = (Vec::new(), 0);
    source.read(BATCH, |images| {
        for index in (0..images.count).filter(|&index| picks.binary_search(&(first + index as u64)).is_ok()) {
            pixels.extend_from_slice(images.image(index));
        }
        first += images.count as u64;
        Ok(())
    })?;
    let [height, width] = source.size();
    ImageBatch::new(height, width, pixels)
}

/// Passes all training images to both searches, and returns the pictures that the first search found, by
/// index. No others are held in memory.
fn pass(
    net: &Lite0,
    data: &Data,
    nearest: &mut NearestNeighbours,
    yardstick: &mut NearestNeighbours,
) -> Result<BTreeMap<u64, RgbImage>, Failure> {
    let bar = progress::bar("training images");
    let (mut pictures, mut first) = (BTreeMap::new(), 0);
    let mut see = |images: &ImageBatch| {
        let features = net.extract(images)?;
        nearest.push(&features)?;
        yardstick.push(&features)?;
        let near = || nearest.found().iter().flatten().map(|neighbour| neighbour.index);
        for index in near().filter(|&index| index >= first) {
            pictures.extend(picture(images, (index - first) as usize).map(|picture| (index, picture)));
        }
        pictures.retain(|&index, _| near().any(|near| near == index));
        first += images.count as u64;
        bar.inc(images.count as u64);
        Ok(())
    };
    match data {
        Data::Set(set) => {
            bar.set_length(set.train.len() as u64);
            let all: Vec<usize> = (0..set.train.len()).collect();
            for picks in all.chunks(BATCH) {
                see(&batch(&set.train, picks)?).map_err(failure)?;
            }
        }
        Data::Images(source) => {
            bar.set_length(source.count());
            source.read(BATCH, |images| see(&images)).map_err(failure)?;
        }
    }
    bar.finish_and_clear();
    Ok(pictures)
}

fn picture(images: &ImageBatch, index: usize) -> Option<RgbImage> {
    RgbImage::from_raw(images.width as u32, images.height as u32, images.image(index).to_vec())
}

fn print(picks: &[u64], found: &[Vec<Neighbour>], held_out: &[f64]) {
    say!("image   distance (training image), nearest first");
    for (image, found) in picks.iter().zip(found) {
        let each = found.iter().map(|near| format!("{:.3} ({})", near.distance, near.index));
        say!("{image:05}   {}", each.collect::<Vec<_>>().join("  "));
    }
    if held_out.is_empty() {
        return;
    }
    let mut own: Vec<f64> = found.iter().flat_map(|found| found.first()).map(|near| near.distance).collect();
    own.sort_by(f64::total_cmp);
    say!("\nto the nearest    least   5 %     median  95 %");
    for (name, distances) in [("these images", &own[..]), ("held-out images", held_out)] {
        let at = |share: f64| distances[((distances.len() - 1) as f64 * share).round() as usize];
        let [least, low, median, high] = [0.0, 0.05, 0.5, 0.95].map(at);
        say!("{name:16}  {least:<6.3}  {low:<6.3}  {median:<6.3}  {high:<6.3}  (n = {})", distances.len());
    }
}
