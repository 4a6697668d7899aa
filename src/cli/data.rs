//! DATA on the command line: a data set that training reads, or images that `evaluate` reads.

use std::path::Path;

use crate::config::Document;
use crate::metrics::ImageBatch;
use crate::metrics::source::ImageSource;
use crate::train::data::{Dataset, Images, Source};

use super::Failure;
use super::evaluate::failure;

/// Images that go through a network at a time.
pub const BATCH: usize = 64;

/// What DATA named.
pub enum Data {
    /// A data set with classes and held-out images, in memory as bytes.
    Set(Dataset),
    /// Images on disk, which are read batch by batch.
    Images(ImageSource),
}

impl Data {
    /// Opens a folder of CIFAR-10 or Fashion-MNIST; what a training's `data` says, as in `Folder(root: "x", size: 64)`; or
    /// images as `evaluate` takes them.
    pub fn open(text: &str) -> Result<Self, Failure> {
        let path = Path::new(text);
        if !path.exists() && text.contains('(') {
            let source: Source =
                Document::parse("DATA", text).and_then(|tree| tree.decode()).map_err(Failure::usage)?;
            return source.load().map(Self::Set).map_err(Failure::from);
        }
        if path.join("train").is_dir() && path.join("test").is_dir() {
            return Err(Failure::Usage(miette::miette!(
                "{text} has folders train and test; say of what size images are to be: 'Folder(root: {text:?}, size: 64)'"
            )));
        }
        match Source::find(path) {
            Some(source) => source.load().map(Self::Set).map_err(Failure::from),
            None => ImageSource::open(path).map(Self::Images).map_err(failure),
        }
    }
}

/// Images of a split by index, as a network takes them.
pub fn batch(images: &Images, picks: &[usize]) -> Result<ImageBatch, Failure> {
    let pixels = picks.iter().flat_map(|&index| images.interleaved(index)).collect();
    ImageBatch::new(images.size, images.size, pixels).map_err(failure)
}
