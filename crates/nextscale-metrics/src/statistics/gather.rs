//! Passes images through a network into statistics, and resumes after an interruption.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nextscale_files::sha256;

use super::file::Part;
use super::{Collector, GatherOptions, KeptAs, Origin, Statistics};
use crate::source::{ContentHash, ImageSource};
use crate::{Error, FeatureNet, Result};

/// Where progress is stored while a set is gathered.
#[derive(Debug)]
pub(super) struct Checkpoint {
    path: PathBuf,
    /// The time between two writes.
    every: Duration,
}

impl Checkpoint {
    /// `FILE.partial`, for statistics that will be saved to `file`.
    pub fn beside(file: &Path) -> Self {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        Self { path: file.with_file_name(format!("{name}.partial")), every: Duration::from_secs(60) }
    }

    pub fn remove(&self) {
        // A leftover that cannot be removed does no harm.
        let _ = std::fs::remove_file(&self.path);
    }

    /// The stored collector and the hash of its images; unchanged if nothing matches.
    fn resume(&self, new: Collector, source: &ImageSource, part: &Part) -> Option<(Collector, String)> {
        let (found, of) = Statistics::read_part(&self.path).ok()?;
        let origin = &found.origin;
        let same = of.as_ref() == Some(part)
            && origin.name == source.path().display().to_string()
            && origin.size == Some(source.size());
        let hash = origin.sha256.clone();
        same.then(|| new.go_on(found)).flatten().map(|collector| (collector, hash))
    }
}

/// The statistics of a set of images.
pub(super) fn gather(
    source: &ImageSource,
    net: &dyn FeatureNet,
    options: &GatherOptions,
    checkpoint: Option<&Checkpoint>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Statistics> {
    let job = Job { source, net, options, checkpoint };
    progress(0, source.count());
    let new = || Collector::new(net, source.count(), options);
    let resumed = match checkpoint {
        Some(checkpoint) => checkpoint.resume(new()?, source, &job.part()),
        None => None,
    };
    if let Some((collector, hash)) = resumed
        && let Some(found) = job.run(collector, Some(&hash), progress)?
    {
        return Ok(found);
    }
    match job.run(new()?, None, progress)? {
        Some(found) => Ok(found),
        None => Err(Error::source(source.path(), "changed while it was being read")),
    }
}

struct Job<'a> {
    source: &'a ImageSource,
    net: &'a dyn FeatureNet,
    options: &'a GatherOptions,
    checkpoint: Option<&'a Checkpoint>,
}

impl Job<'_> {
    fn part(&self) -> Part {
        let GatherOptions { keep, splits, seed, .. } = *self.options;
        Part { images: self.source.count(), keep, splits, seed }
    }

    fn origin(&self, images: u64, hash: &ContentHash) -> Origin {
        origin(self.source, images, hash.finish())
    }

    /// Passes the remaining images through the network. `None` if those already collected do not have the
    /// hash `behind`, because they have changed.
    fn run(
        &self,
        mut collector: Collector,
        behind: Option<&str>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Option<Statistics>> {
        let path = self.source.path();
        let (mut hash, mut seen) = (ContentHash::new(self.source.size()), 0);
        let mut written = Instant::now();
        let mut same = true;
        self.source.read(self.options.batch, |images| {
            let first = seen;
            seen += images.count as u64;
            hash.update(&images);
            if !same {
                return Ok(());
            }
            if first < collector.count() {
                // Images already collected are read only for their hash. Another batch size may cut them
                // differently.
                same = seen < collector.count()
                    || (seen == collector.count() && behind == Some(&*hash.finish()));
                return Ok(());
            }
            collector.push(&self.net.extract(&images)?).map_err(|error| named(error, path))?;
            progress(collector.count(), self.source.count());
            if let Some(checkpoint) = self.checkpoint
                && collector.at_rest()
                && written.elapsed() >= checkpoint.every
            {
                collector.store(self.origin(seen, &hash), |so_far| {
                    so_far.save_part(&checkpoint.path, KeptAs::F32, Some(self.part()))
                })?;
                written = Instant::now();
            }
            Ok(())
        })?;
        same.then(|| collector.finish(self.origin(seen, &hash))).transpose()
    }
}

/// The origin of statistics of a set's first `images` images.
pub(super) fn origin(source: &ImageSource, images: u64, sha256: String) -> Origin {
    let path = source.path();
    Origin {
        name: path.display().to_string(),
        images: Some(images),
        size: Some(source.size()),
        sha256,
        split: Origin::split_of(path),
        config: source.config().map(String::from),
        jpegs: source.jpegs(),
        resized: source.side(),
        left_out: source.left_out().clone(),
    }
}

/// The set that an image belongs to.
pub(super) fn named(error: Error, path: &Path) -> Error {
    match error {
        Error::NotFinite { what, row, column, value } => {
            Error::NotFinite { what: format!("{}: {what}", path.display()), row, column, value }
        }
        other => other,
    }
}

/// The origin of a file with moments but no images.
pub(super) fn file_origin(path: &Path) -> Result<Origin> {
    // Moments of 2048 features without images take some 30 MB.
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    Ok(Origin {
        name: path.display().to_string(),
        images: None,
        size: None,
        sha256: sha256(&bytes),
        split: Origin::split_of(path),
        config: None,
        jpegs: 0,
        resized: None,
        left_out: Default::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Distribution;
    use crate::testing::{Toy, picture, write_npz};

    fn folder(images: u64) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        write_npz(
            &root.path().join("samples.npz"),
            &(0..images).map(|i| picture(i, 4, 3)).collect::<Vec<_>>(),
        );
        root
    }

    fn open(path: &Path) -> ImageSource {
        ImageSource::open(path).unwrap()
    }

    #[test]
    fn statistics_do_not_depend_on_the_batch() {
        let root = folder(50);
        let of = |batch: usize| {
            let options = GatherOptions { keep: 7, splits: 3, batch, ..GatherOptions::default() };
            let mut seen = Vec::new();
            let statistics = gather(&open(root.path()), &Toy::default(), &options, None, &mut |done, of| {
                seen.push((done, of))
            })
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
        let statistics = gather(&open(root.path()), &net, &options, None, &mut |_, _| {}).unwrap();
        let pixels = (0..6).flat_map(|i| picture(i, 4, 3).into_raw()).collect();
        let all = net.extract(&crate::ImageBatch::new(3, 4, pixels).unwrap()).unwrap();
        assert_eq!(statistics.kept.unwrap().rows, all.pooled);
    }

    #[test]
    fn features_that_are_no_numbers_are_named_with_their_set_and_image() {
        let root = folder(9);
        let net = Toy { fault: Some(f32::INFINITY), ..Toy::default() };
        let options = GatherOptions { batch: 2, ..GatherOptions::default() };
        let error = gather(&open(root.path()), &net, &options, None, &mut |_, _| {}).unwrap_err().to_string();
        assert!(error.contains(&*root.path().to_string_lossy()) && error.contains("of image 0"), "{error}");
    }

    /// A network that fails at the n-th image, like a process that is killed.
    struct Failing(Toy, std::sync::atomic::AtomicU64);

    impl FeatureNet for Failing {
        fn name(&self) -> &str {
            self.0.name()
        }
        fn protocol(&self) -> String {
            self.0.protocol()
        }
        fn dims(&self) -> usize {
            self.0.dims()
        }
        fn spatial_dims(&self) -> Option<usize> {
            self.0.spatial_dims()
        }
        fn classes(&self) -> Option<usize> {
            self.0.classes()
        }
        fn extract(&self, images: &crate::ImageBatch) -> Result<crate::Features> {
            let order = std::sync::atomic::Ordering::Relaxed;
            match self.1.fetch_sub(images.count as u64, order).checked_sub(images.count as u64) {
                Some(_) => self.0.extract(images),
                None => Err(Error::Pixels("stopped".into())),
            }
        }
    }

    #[test]
    fn an_interrupted_set_is_gone_on_with_and_ends_the_same_to_the_last_bit() {
        let root = tempfile::tempdir().unwrap();
        let images = root.path().join("samples.npz");
        write_npz(&images, &(0..1700).map(|i| picture(i, 2, 2)).collect::<Vec<_>>());
        let options = GatherOptions { keep: 300, ..GatherOptions::default() };
        let save = |name: &str, net: &dyn FeatureNet, options: &GatherOptions| {
            let file = root.path().join(name);
            let checkpoint = Checkpoint { every: Duration::ZERO, ..Checkpoint::beside(&file) };
            gather(&open(&images), net, options, Some(&checkpoint), &mut |_, _| {})?
                .save(&file, KeptAs::F32)?;
            Ok::<_, Error>(std::fs::read(file).unwrap())
        };
        let whole = save("whole.safetensors", &Toy::default(), &options).unwrap();
        let after = |images: u64| Failing(Toy::default(), images.into());
        save("a.safetensors", &after(700), &options).unwrap_err();
        save("a.safetensors", &after(600), &options).unwrap_err();
        // 512 images are done, and 512 more: only the rest remains.
        assert!(save("a.safetensors", &after(1700 - 1024), &options).unwrap() == whole);
        let partial = root.path().join("a.safetensors.partial");
        let error = Statistics::read(&partial).unwrap_err().to_string();
        assert!(error.contains("is unfinished"), "{error}");
        // Other settings, other images or a torn file: from the beginning.
        let other = GatherOptions { seed: 1, ..options };
        assert!(matches!(save("a.safetensors", &after(1699), &other), Err(Error::Pixels(_))));
        write_npz(&images, &(1..1701).map(|i| picture(i, 2, 2)).collect::<Vec<_>>());
        let changed = save("b.safetensors", &Toy::default(), &other).unwrap();
        assert!(save("a.safetensors", &Toy::default(), &other).unwrap() == changed);
        std::fs::write(&partial, "torn").unwrap();
        assert!(save("a.safetensors", &Toy::default(), &other).unwrap() == changed);
    }
}
