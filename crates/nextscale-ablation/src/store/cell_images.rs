//! The images of one cell, in the form in which other commands read images: `DIR/CELL`.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use nextscale_metrics::source::ImageList;
use nextscale_metrics::{Error as MetricsError, Result as MetricsResult};

use super::{CELLS, CHUNK, MANIFEST, Manifest, Planned, Shelf, files};
use crate::images::Images;
use crate::{Error, Result};

/// The images of a cell of a finished ablation: those of the first seed, then of the second, and so on.
#[derive(Debug)]
pub struct CellImages {
    name: PathBuf,
    shelves: Vec<Shelf>,
    samples: u64,
    size: [usize; 2],
    cell: Planned,
    seeds: Vec<u64>,
    /// The chunk that was read last, by seed and number: images are read in order.
    last: Mutex<Option<(usize, u64, Images)>>,
}

impl CellImages {
    /// The images that `path` names as `DIR/CELL`: DIR is the folder of an ablation, and CELL a cell's name,
    /// id or number, counted from zero. `None` if DIR is not such a folder.
    ///
    /// # Errors
    /// If there is no such cell, or some of its images are missing.
    pub fn find(path: &Path) -> Result<Option<Self>> {
        // A name may contain slashes, and `DIR/cells/ID` is an existing folder.
        for root in path.ancestors().skip(1) {
            let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
            if root.join(MANIFEST).is_file() {
                let cell = path.strip_prefix(root).unwrap_or(path);
                let cell = cell.strip_prefix(CELLS).unwrap_or(cell).to_string_lossy();
                return Self::open(root, &cell, path).map(Some);
            }
        }
        Ok(None)
    }

    /// Whether `path` is the folder of a finished ablation, so that a cell must be named; if so, a list of
    /// the cells.
    ///
    /// # Errors
    /// If the ablation's description cannot be read.
    pub fn choices(path: &Path) -> Result<Option<String>> {
        if !path.join(MANIFEST).is_file() {
            return Ok(None);
        }
        Ok(Some(named(&manifest(path)?)))
    }

    /// How many cells the ablation in a folder has; `None` if there is no ablation.
    ///
    /// # Errors
    /// If the ablation's description cannot be read.
    pub fn count_in(root: &Path) -> Result<Option<usize>> {
        if !root.join(MANIFEST).is_file() {
            return Ok(None);
        }
        Ok(Some(manifest(root)?.cells.len()))
    }

    fn open(root: &Path, cell: &str, path: &Path) -> Result<Self> {
        let manifest = manifest(root)?;
        let by_number = || cell.parse().ok().and_then(|at: usize| manifest.cells.get(at));
        let mut cells = manifest.cells.iter();
        let found = cells.find(|planned| planned.name == cell || planned.id == cell).or_else(by_number);
        let Some(found) = found else {
            return Err(Error::Folder(format!(
                "{} has no cell `{cell}`; it has {}",
                root.display(),
                named(&manifest)
            )));
        };
        let folder = root.join(CELLS).join(&found.id);
        let shelf = |seed: &u64| Shelf { folder: folder.join(format!("seed-{seed}")) };
        let shelves: Vec<Shelf> = manifest.seeds.iter().map(shelf).collect();
        let first = match shelves.first() {
            Some(shelf) => shelf.images(0)?,
            None => None,
        };
        let first = first.ok_or_else(|| lacking(&folder))?;
        Ok(Self {
            name: path.into(),
            shelves,
            samples: manifest.samples,
            size: [first.height, first.width],
            cell: found.clone(),
            seeds: manifest.seeds.clone(),
            last: Mutex::new(None),
        })
    }

    /// What its images were made with, for reports: rule, sampler, pixels, settings.
    pub fn cell(&self) -> &Planned {
        &self.cell
    }

    /// What an image shows, if known.
    pub fn shows(&self, image: u64) -> Option<&str> {
        let shown = &self.cell.shows;
        shown.get((image % self.samples.max(1)) as usize % shown.len().max(1)).map(String::as_str)
    }

    /// Seed and number of an image.
    pub fn place(&self, image: u64) -> (u64, u64) {
        let samples = self.samples.max(1);
        (self.seeds.get((image / samples) as usize).copied().unwrap_or_default(), image % samples)
    }

    /// The number of an image's class, if it has one.
    pub fn class(&self, image: u64) -> Option<u32> {
        let classes = &self.cell.classes;
        *classes.get((image % self.samples.max(1)) as usize % classes.len().max(1))?
    }

    /// The bytes of images of one chunk.
    fn part(&self, seed: usize, images: Range<u64>) -> Result<Vec<u8>> {
        let chunk = images.start / CHUNK;
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.as_ref().is_none_or(|(s, c, _)| (*s, *c) != (seed, chunk)) {
            let shelf = &self.shelves[seed];
            let found = shelf.images(chunk)?.ok_or_else(|| lacking(&shelf.folder))?;
            *last = Some((seed, chunk, self.cell.pixels.apply(found)));
        }
        let Some((_, _, found)) = &*last else { return Err(lacking(&self.name)) };
        let each = self.size[0] * self.size[1] * 3;
        let from = (images.start - chunk * CHUNK) as usize * each;
        let bytes = from..from + (images.end - images.start) as usize * each;
        let whole = [found.height, found.width] == self.size;
        found.pixels.get(bytes).filter(|_| whole).map(<[u8]>::to_vec).ok_or_else(|| lacking(&self.name))
    }
}

impl ImageList for CellImages {
    fn name(&self) -> String {
        self.name.display().to_string()
    }

    fn count(&self) -> u64 {
        self.samples * self.shelves.len() as u64
    }

    fn size(&self) -> [usize; 2] {
        self.size
    }

    fn read(&self, images: Range<u64>) -> MetricsResult<Vec<u8>> {
        let (mut bytes, mut at) = (Vec::new(), images.start);
        while at < images.end {
            let (seed, own) = (at / self.samples, at % self.samples);
            let most = [images.end - at, self.samples - own, CHUNK - own % CHUNK];
            let count = most.into_iter().min().unwrap_or(1);
            let part = self.part(seed as usize, own..own + count);
            bytes.extend(part.map_err(|error| MetricsError::Pixels(error.to_string()))?);
            at += count;
        }
        Ok(bytes)
    }

    fn classes(&self) -> Option<Vec<String>> {
        (0..self.count()).map(|image| self.shows(image).map(str::to_owned)).collect()
    }
}

fn manifest(root: &Path) -> Result<Manifest> {
    let path = root.join(MANIFEST);
    let found = files::read_json(&path)?.ok_or_else(|| lacking(root))?;
    super::sound(found, &path)
}

fn named(manifest: &Manifest) -> String {
    let name = |planned: &Planned| format!("`{}`", planned.name);
    manifest.cells.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn lacking(folder: &Path) -> Error {
    Error::Folder(format!("{} lacks images; repeat `nextscale ablate`", folder.display()))
}
