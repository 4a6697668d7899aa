//! Images through a network into statistics.

use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Distribution, Kept, Origin, Statistics};
use crate::inception_score::{ScoreSums, Splits};
use crate::numpy_random::RandomState;
use crate::source::{ContentHash, ImageSource, hexadecimal};
use crate::{Error, FeatureNet, FeatureSums, Features, Result};

/// How statistics are gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatherOptions {
    /// Of how many images the features are kept, for KID, precision and recall; of more images a seeded choice of so
    /// many. 10,000 Inception features are 82 MB.
    pub keep: usize,
    /// Splits of the Inception Score.
    pub splits: usize,
    /// Of the choice of kept images and of the splits.
    pub seed: u32,
    /// Images that are decoded and given to the network at a time.
    pub batch: usize,
}

impl Default for GatherOptions {
    fn default() -> Self {
        Self { keep: 10_000, splits: 10, seed: 2020, batch: 64 }
    }
}

/// Features of a set as they come, into [`Statistics`]. Memory does not grow with the set.
#[derive(Debug)]
pub struct Collector {
    net: String,
    protocol: String,
    expected: u64,
    pooled: FeatureSums,
    spatial: Option<FeatureSums>,
    kept: Kept,
    /// The images whose features are kept, ascending; those before `kept.count()` are in.
    chosen: Vec<u32>,
    score: Option<(ScoreSums, Splits)>,
}

impl Collector {
    /// For a set of `images` images.
    ///
    /// # Errors
    /// [`Error::TooFew`] if there are none; [`Error::Setting`] for more than 2³² - 1 or a wrong number of splits.
    pub fn new(net: &dyn FeatureNet, images: u64, options: &GatherOptions) -> Result<Self> {
        if images == 0 {
            return Err(Error::TooFew { what: "a set".into(), needed: 1, found: 0 });
        }
        let count = u32::try_from(images)
            .map_err(|_| Error::Setting { name: "images", problem: "must be fewer than 2³²".into() })?;
        let mut chosen: Vec<u32> = if options.keep as u64 >= images {
            (0..count).collect()
        } else {
            RandomState::new(options.seed).choice(count, options.keep)
        };
        chosen.sort_unstable();
        let score = match net.classes() {
            // Fewer images than splits have no score; that is said where the score would stand.
            Some(classes) if images >= options.splits as u64 => Some((
                ScoreSums::new(options.splits, classes),
                Splits::new(images, options.splits, options.seed)?,
            )),
            _ => None,
        };
        Ok(Self {
            net: net.name().into(),
            protocol: net.protocol(),
            expected: images,
            pooled: FeatureSums::new(net.dims()),
            spatial: net.spatial_dims().map(FeatureSums::new),
            kept: Kept { rows: Vec::with_capacity(chosen.len() * net.dims()), dims: net.dims() },
            chosen,
            score,
        })
    }

    /// Adds the features of the next images.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if one is NaN or infinite, [`Error::Shape`] if they contradict themselves, the network or
    /// the number of images. Nothing of use is left then.
    pub fn push(&mut self, features: &Features) -> Result<()> {
        let first = self.pooled.count();
        let shape =
            |what: &str, found: usize, expected: usize| Error::Shape { what: what.into(), found, expected };
        if first + features.count as u64 > self.expected {
            return Err(shape("images of a set", first as usize + features.count, self.expected as usize));
        }
        let dims = self.kept.dims;
        if features.dims != dims || features.pooled.len() != features.count * dims {
            return Err(shape("pooled features", features.pooled.len(), features.count * dims));
        }
        self.pooled.push(&features.pooled)?;
        if let Some(sums) = &mut self.spatial {
            let spatial = features.spatial.as_deref().unwrap_or_default();
            if spatial.len() != features.count * sums.dims() {
                return Err(shape("spatial features", spatial.len(), features.count * sums.dims()));
            }
            sums.push(spatial)?;
        }
        if let Some((sums, splits)) = &mut self.score {
            let logits = features.logits.as_deref().unwrap_or_default();
            let expected = features.count * sums.classes();
            if logits.len() != expected {
                return Err(shape("logits", logits.len(), expected));
            }
            sums.push(splits, first, logits)?;
        }
        let from = self.kept.count();
        let here = self.chosen[from..].iter().take_while(|&&image| u64::from(image) < self.pooled.count());
        for &image in here {
            let row = (u64::from(image) - first) as usize;
            self.kept.rows.extend_from_slice(&features.pooled[row * dims..][..dims]);
        }
        Ok(())
    }

    /// Images that are in.
    pub fn count(&self) -> u64 {
        self.pooled.count()
    }

    /// The statistics of the whole set.
    ///
    /// # Errors
    /// [`Error::Shape`] if images are missing.
    pub fn finish(self, origin: Origin) -> Result<Statistics> {
        let (found, expected) = (self.pooled.count(), self.expected);
        if found != expected {
            let what = format!("{}: images", origin.name);
            return Err(Error::Shape { what, found: found as usize, expected: expected as usize });
        }
        let mut statistics =
            Statistics::new(origin, self.net, Some(self.protocol), Distribution::Sums(self.pooled));
        statistics.spatial = self.spatial.map(Distribution::Sums);
        statistics.kept = (self.kept.count() > 0).then_some(self.kept);
        statistics.score = self.score.map(|(sums, _)| sums);
        Ok(statistics)
    }
}

/// The statistics of the images at `path`.
pub(super) fn gather(
    path: &Path,
    net: &dyn FeatureNet,
    options: &GatherOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Statistics> {
    let source = ImageSource::open(path)?;
    let mut collector = Collector::new(net, source.count(), options)?;
    let mut hash = ContentHash::new(source.size());
    progress(0, source.count());
    source.read(options.batch, |images| {
        hash.update(&images);
        collector.push(&net.extract(&images)?).map_err(|error| named(error, path))?;
        progress(collector.count(), source.count());
        Ok(())
    })?;
    collector.finish(Origin {
        name: path.display().to_string(),
        images: Some(source.count()),
        size: Some(source.size()),
        sha256: hash.finish(),
        split: Origin::split_of(path),
        config: source.config().map(String::from),
    })
}

/// Which set an image is of.
fn named(error: Error, path: &Path) -> Error {
    match error {
        Error::NotFinite { what, row, column, value } => {
            Error::NotFinite { what: format!("{}: {what}", path.display()), row, column, value }
        }
        other => other,
    }
}

/// The origin of a file that has moments and no images.
pub(super) fn file_origin(path: &Path) -> Result<Origin> {
    // Moments of 2048 features and no images: some 30 MB.
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    Ok(Origin {
        name: path.display().to_string(),
        images: None,
        size: None,
        sha256: hexadecimal(Sha256::new_with_prefix(&bytes)),
        split: Origin::split_of(path),
        config: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Toy, origin, picture, write_npz};

    fn folder(images: u64) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        write_npz(
            &root.path().join("samples.npz"),
            &(0..images).map(|i| picture(i, 4, 3)).collect::<Vec<_>>(),
        );
        root
    }

    #[test]
    fn statistics_do_not_depend_on_the_batch() {
        let root = folder(50);
        let of = |batch: usize| {
            let options = GatherOptions { keep: 7, splits: 3, batch, ..GatherOptions::default() };
            let mut seen = Vec::new();
            let statistics =
                gather(root.path(), &Toy::default(), &options, &mut |done, of| seen.push((done, of)))
                    .unwrap();
            assert_eq!((seen[0], *seen.last().unwrap()), ((0, 50), (50, 50)));
            statistics
        };
        let parts = |statistics: &Statistics| match &statistics.pooled {
            Distribution::Sums(sums) => sums.to_parts(),
            Distribution::Given(_) => panic!("moments"),
        };
        let whole = of(50);
        assert_eq!(whole.kept.as_ref().unwrap().count(), 7);
        for batch in [1, 8, 49] {
            let other = of(batch);
            assert_eq!(
                (&other.kept, &other.score, &other.origin),
                (&whole.kept, &whole.score, &whole.origin)
            );
            assert!(parts(&other) == parts(&whole));
        }
    }

    #[test]
    fn all_features_are_kept_where_there_are_no_more() {
        let (root, net) = (folder(6), Toy::default());
        let options = GatherOptions { splits: 2, ..GatherOptions::default() };
        let statistics = gather(root.path(), &net, &options, &mut |_, _| {}).unwrap();
        let pixels = (0..6).flat_map(|i| picture(i, 4, 3).into_raw()).collect();
        let all = net.extract(&crate::ImageBatch::new(3, 4, pixels).unwrap()).unwrap();
        assert_eq!(statistics.kept.unwrap().rows, all.pooled);
    }

    #[test]
    fn features_that_are_no_numbers_are_named_with_their_set_and_image() {
        let root = folder(9);
        let net = Toy { fault: Some(f32::INFINITY), ..Toy::default() };
        let options = GatherOptions { batch: 2, ..GatherOptions::default() };
        let error = gather(root.path(), &net, &options, &mut |_, _| {}).unwrap_err().to_string();
        assert!(error.contains(&*root.path().to_string_lossy()) && error.contains("of image 0"), "{error}");
    }

    #[test]
    fn too_many_and_missing_images_are_refused() {
        let net = Toy::default();
        let batch = crate::ImageBatch::new(2, 2, picture(0, 2, 2).into_raw()).unwrap();
        let features = net.extract(&batch).unwrap();
        let mut collector = Collector::new(&net, 2, &GatherOptions::default()).unwrap();
        collector.push(&features).unwrap();
        assert!(matches!(collector.finish(origin("a")), Err(Error::Shape { found: 1, expected: 2, .. })));
        let mut collector = Collector::new(&net, 1, &GatherOptions::default()).unwrap();
        collector.push(&features).unwrap();
        assert!(matches!(collector.push(&features), Err(Error::Shape { found: 2, expected: 1, .. })));
        assert!(matches!(Collector::new(&net, 0, &GatherOptions::default()), Err(Error::TooFew { .. })));
    }
}
