//! Images on the command line, in one notation for every command:
//!
//! - a folder of images, or of one folder per class; an `.npz` file of images; a run folder, or one rule's
//!   folder in it;
//! - `DIR/CELL`, a cell of an ablation by name, number or id;
//! - a data set in the notation of a training's `data`: a folder of CIFAR-10 or Fashion-MNIST,
//!   `Cifar10("DIR")`, `FashionMnist("DIR")`, `Folder(root: "DIR", size: 64)`. If it has a training and a
//!   test split, commands that take images need `Train(..)` or `Test(..)` around it. Around `Folder(..)` without
//!   splits these mean those of a training, which holds out every tenth image of a class.

use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::ablation::store::CellImages;
use crate::config::{Document, Node, Value};
use crate::files::{LeftOut, words_of_left_out};
use crate::metrics::source::{ImageList, ImageSource};
use crate::metrics::{Error as MetricsError, ImageBatch, Input, Result as MetricsResult};
use crate::train::data::{Source, StoredDataset, StoredImages};

use super::Failure;
use super::failure::failure;

/// Images passed through a network at a time.
pub const BATCH: usize = 64;

/// What can be given, for a file that is not there.
const IMAGES: &str = "give a folder or an .npz file of images, a run folder, a cell DIR/CELL of an ablation, or a data set like \
                      'Test(Cifar10(\"DIR\"))'";

/// What an argument refers to. Images stay on disk and are read batch by batch.
pub enum Data {
    /// A data set with classes and held-out images.
    Set(StoredDataset),
    /// Images.
    Images(ImageSource),
}

/// Which split of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Split {
    Train,
    Test,
}

impl Data {
    /// Opens what an argument refers to; `side` resizes images to squares of this many pixels. What lies beside a
    /// data set's images is said.
    pub fn open(text: &Path, side: Option<u32>) -> Result<Self, Failure> {
        let data = Self::opened(text, side)?;
        if let Self::Set(set) = &data {
            tell(text, set.train.left_out());
        }
        Ok(data)
    }

    /// As [`open`](Self::open), for a command that needs held-out images: of `Folder(..)` without splits every
    /// tenth image of a class is held out, as in a training.
    pub fn open_split(text: &Path, side: Option<u32>) -> Result<Self, Failure> {
        if let Some(said) = text.to_str().filter(|said| said.starts_with("Folder(") && !text.exists()) {
            let tree = Document::parse("DATA", said).map_err(Failure::usage)?;
            let set = tree.decode::<Source>().map_err(Failure::usage)?.open()?;
            tell(text, set.train.left_out());
            return Ok(Self::Set(set));
        }
        Self::open(text, side)
    }

    fn opened(text: &Path, side: Option<u32>) -> Result<Self, Failure> {
        if text.exists() {
            return Self::at(text, side);
        }
        if let Some(text) = text.to_str().filter(|text| text.contains('(')) {
            return Self::said(text, side);
        }
        if let Some(cell) = CellImages::find(text)? {
            return ImageSource::of_list(Arc::new(cell), side).map(Self::Images).map_err(failure);
        }
        let opened = ImageSource::open_at(text, side).map(Self::Images).map_err(failure);
        opened.map_err(|failure| failure.with_remedy(IMAGES))
    }

    /// A file or folder.
    fn at(path: &Path, side: Option<u32>) -> Result<Self, Failure> {
        if let Some(cells) = CellImages::choices(path)? {
            let path = path.display();
            return Err(Failure::Usage(miette::miette!(
                help = format!("its cells: {cells}"),
                "{path} is an ablation; name one of its cells, as in {path}/0"
            )));
        }
        // A cell's own folder; another folder inside an ablation's counts as its contents.
        if path.parent().and_then(Path::file_name).is_some_and(|name| name == "cells")
            && let Some(cell) = CellImages::find(path)?
        {
            return ImageSource::of_list(Arc::new(cell), side).map(Self::Images).map_err(failure);
        }
        if path.join("train").is_dir() && path.join("test").is_dir() {
            let text = path.display().to_string();
            let Some(side) = side else {
                return Err(Failure::Usage(miette::miette!(
                    "{text} has folders train and test; give the size of images: 'Folder(root: {text:?}, size: \
                     64)'"
                )));
            };
            let source = Source::Folder { root: path.into(), size: side as usize };
            return source.open().map(Self::Set).map_err(Failure::from);
        }
        match Source::find(path) {
            Some(source) => source.open().map(Self::Set).map_err(Failure::from),
            None => ImageSource::open_at(path, side).map(Self::Images).map_err(failure),
        }
    }

    /// A training's `data`, or one split of it.
    fn said(text: &str, side: Option<u32>) -> Result<Self, Failure> {
        let tree = Document::parse("DATA", text).map_err(Failure::usage)?;
        let split = match tree.variant().map_err(Failure::usage)?.name() {
            "Train" => Some(Split::Train),
            "Test" => Some(Split::Test),
            _ => None,
        };
        let Some(split) = split else { return Self::set(&tree, side) };
        let inner = match &tree.value {
            Value::Tuple { items, .. } if items.len() == 1 => &items[0],
            _ => {
                let error = tree.error("expected one data set in the parentheses");
                return Err(Failure::usage(error.with_help("write Test(Cifar10(\"DIR\"))")));
            }
        };
        let set = match &inner.value {
            Value::Str(path) => Self::at(Path::new(path), side)?,
            // As a training splits it.
            _ => Self::Set(inner.decode::<Source>().map_err(Failure::usage)?.open()?),
        };
        match set {
            Self::Set(set) => {
                let images = Part::new(text, set, split);
                ImageSource::of_list(Arc::new(images), side).map(Self::Images).map_err(failure)
            }
            Self::Images(source) => Err(Failure::Usage(miette::miette!(
                "{} has no training and test split; leave out what is around it",
                source.path().display()
            ))),
        }
    }

    fn set(tree: &Node, side: Option<u32>) -> Result<Self, Failure> {
        let source: Source = tree.decode().map_err(Failure::usage)?;
        if let Source::Folder { root, size } = &source
            && root.is_dir()
            && !root.join("train").is_dir()
            && !root.join("test").is_dir()
        {
            // Without splits it only gives the size of images.
            let size = u32::try_from(*size).unwrap_or(u32::MAX);
            return ImageSource::open_at(root, Some(side.unwrap_or(size))).map(Self::Images).map_err(failure);
        }
        source.open().map(Self::Set).map_err(Failure::from)
    }

    /// The images of an argument that must not have splits.
    fn images(self, text: &Path) -> Result<ImageSource, Failure> {
        match self {
            Self::Images(source) => Ok(source),
            Self::Set(_) => {
                let text = text.display().to_string();
                let inner = if Path::new(&text).exists() { format!("{text:?}") } else { text.clone() };
                Err(Failure::Usage(miette::miette!(
                    help = format!("give 'Train({inner})' or 'Test({inner})'"),
                    "{text} has a training and a test split; say which images are meant"
                )))
            }
        }
    }
}

/// Prints what was left out beside the images of a set, for commands whose output has no place for it.
pub fn tell_left_out(source: &ImageSource) {
    tell(source.path(), source.left_out());
}

fn tell(path: &Path, left_out: &LeftOut) {
    if let Some(words) = words_of_left_out(left_out) {
        let _ = writeln!(std::io::stderr(), "{}: {words}", path.display());
    }
}

/// The images that an argument refers to.
pub fn images(text: &Path, side: Option<u32>) -> Result<ImageSource, Failure> {
    Data::open(text, side)?.images(text)
}

/// An argument of `evaluate`: images, or a file of statistics or moments.
pub fn input(text: &Path, side: Option<u32>) -> Result<Input, Failure> {
    if text.is_file() || (text == Path::new("cifar10") && !text.exists()) {
        return Input::open(text, side).map_err(failure);
    }
    images(text, side).map(Input::Images)
}

/// Images of a split by index, in a network's format.
pub fn batch(images: &StoredImages, picks: &[usize]) -> Result<ImageBatch, Failure> {
    ImageBatch::new(images.size(), images.size(), images.read_some(picks)?).map_err(failure)
}

/// One split of a data set.
#[derive(Debug)]
struct Part {
    name: String,
    images: StoredImages,
    classes: Vec<String>,
}

impl Part {
    fn new(name: &str, set: StoredDataset, split: Split) -> Self {
        let images = match split {
            Split::Train => set.train,
            Split::Test => set.test,
        };
        Self { name: name.into(), images, classes: set.classes }
    }
}

impl ImageList for Part {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn count(&self) -> u64 {
        self.images.len() as u64
    }

    fn size(&self) -> [usize; 2] {
        [self.images.size(); 2]
    }

    fn read(&self, images: Range<u64>) -> MetricsResult<Vec<u8>> {
        let read = self.images.read(images.start as usize..images.end as usize);
        read.map_err(|error| MetricsError::Pixels(error.to_string()))
    }

    fn classes(&self) -> Option<Vec<String>> {
        self.images.labels().iter().map(|&label| self.classes.get(usize::from(label)).cloned()).collect()
    }

    fn left_out(&self) -> LeftOut {
        self.images.left_out().clone()
    }

    fn jpegs(&self) -> u64 {
        self.images.jpegs()
    }
}
