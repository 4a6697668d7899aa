//! `nextscale export DIR [CELL] --out FOLDER`: the images of an ablation as files for other programs.

use std::path::{Path, PathBuf};

use crate::ablation::store::CellImages;
use crate::metrics::source::ImageList;
use crate::pipeline::config::folder_of;
use crate::pipeline::{images, progress};
use image::RgbImage;

use super::Failure;
use super::failure::failure;
use super::new_folder::new_folder;
use super::say::say;

/// Write the images of an ablation's cells as PNG files, with a table of seeds and labels
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of an ablation
    dir: PathBuf,
    /// A cell by name, number or id [default: all cells, each into its own folder]
    cell: Option<String>,
    /// The folder to create
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Also write images.npz (arr_0; with classes for all images also arr_1), the format of evaluators for
    /// ImageNet models
    #[arg(long)]
    npz: bool,
}

/// Images read at a time.
const BLOCK: u64 = 64;

/// Writes them, and prints where they are.
pub fn run(args: Args) -> Result<(), Failure> {
    let unfound = || {
        Failure::Usage(miette::miette!(
            "{} is not an ablation's folder; `nextscale ablate FILE --out DIR` creates one",
            args.dir.display()
        ))
    };
    let open = |cell: &str| CellImages::find(&args.dir.join(cell))?.ok_or_else(unfound);
    // Each cell with its folder below `out`.
    let cells: Vec<(CellImages, PathBuf)> = match &args.cell {
        Some(cell) => vec![(open(cell)?, PathBuf::new())],
        None => {
            let count = CellImages::count_in(&args.dir)?.ok_or_else(unfound)?;
            let each = (0..count).map(|number| {
                let cell = open(&number.to_string())?;
                let folder = folder_of(&cell.cell().name);
                Ok((cell, folder.into()))
            });
            each.collect::<Result<_, Failure>>()?
        }
    };
    let folder = new_folder(&args.out)?;
    let bar = progress::bar("images");
    bar.set_length(cells.iter().map(|(cell, _)| cell.count()).sum());
    for (cell, below) in &cells {
        bar.set_message(cell.cell().name.clone());
        write(cell, &folder.path().join(below), args.npz, |done| bar.inc(done))?;
    }
    bar.finish_and_clear();
    folder
        .keep()
        .map_err(|error| Failure::Run(miette::miette!("cannot create {}: {error}", args.out.display())))?;
    for (cell, below) in &cells {
        let folder: PathBuf = args.out.join(below).components().collect();
        say!("wrote {}: {} images of {}", folder.display(), cell.count(), cell.cell().name);
    }
    Ok(())
}

fn write(cell: &CellImages, folder: &Path, npz: bool, mut tell: impl FnMut(u64)) -> Result<(), Failure> {
    let unwritten = |what: &Path, error: &dyn std::fmt::Display| {
        Failure::Run(miette::miette!("cannot write {}: {error}", what.display()))
    };
    std::fs::create_dir_all(folder).map_err(|error| unwritten(folder, &error))?;
    let [height, width] = cell.size();
    let mut first = 0;
    while first < cell.count() {
        let next = cell.count().min(first + BLOCK);
        let pixels = cell.read(first..next).map_err(failure)?;
        for (image, pixels) in (first..next).zip(pixels.chunks_exact(height * width * 3)) {
            let picture =
                RgbImage::from_raw(width as u32, height as u32, pixels.to_vec()).unwrap_or_default();
            images::write_png(&folder.join(crate::files::run::image_name(image)), &picture)?;
        }
        tell(next - first);
        first = next;
    }
    let path = folder.join("images.csv");
    table(cell, &path).map_err(|error| unwritten(&path, &error))?;
    if npz {
        let labels: Option<Vec<i64>> =
            (0..cell.count()).map(|image| cell.class(image).map(i64::from)).collect();
        let picture = |image: usize| {
            let pixels = cell.read(image as u64..image as u64 + 1).unwrap_or_default();
            Ok(RgbImage::from_raw(width as u32, height as u32, pixels).unwrap_or_default())
        };
        let path = folder.join("images.npz");
        images::write_npz(&path, cell.count() as usize, (height, width), labels.as_deref(), picture)?;
    }
    Ok(())
}

/// One row per image: its file, its seed and number there, and what it shows.
fn table(cell: &CellImages, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["file", "seed", "image", "class", "shows", "cell"])?;
    for image in 0..cell.count() {
        let (seed, number) = cell.place(image);
        table.write_record([
            crate::files::run::image_name(image),
            seed.to_string(),
            number.to_string(),
            cell.class(image).map_or(String::new(), |class| class.to_string()),
            cell.shows(image).unwrap_or_default().to_owned(),
            cell.cell().name.clone(),
        ])?;
    }
    Ok(crate::files::write_atomically(path, &table.into_inner()?)?)
}
