//! Statistics gathered by several processes.
//!
//! Every worker stores the features of its images. The merge adds them in the set's order, as one process does,
//! so that sums and distances are equal to the last bit for any number of workers.

use std::path::Path;

use nextscale_shards::{FORMAT, Fact, Piece, Record, Shard, ShardFolder, tiles};
use serde::{Deserialize, Serialize};

use super::collector::NetFacts;
use super::gather::{named, origin};
use super::{Collector, GatherOptions, KeptAs, Origin, Statistics, pieces};
use crate::source::{ContentHash, ImageSource};
use crate::{Error, FeatureNet, Result};

/// The command whose shards these are.
pub const SHARDS_COMMAND: &str = "evaluate";
/// The only series.
const SERIES: &str = "features";
/// The ending of pieces.
const ENDING: &str = "safetensors";

/// A worker's share of the statistics of a set, and how they are gathered.
#[derive(Debug, Clone)]
pub struct Sharding<'a> {
    /// Its share.
    pub shard: Shard,
    /// The worker in words.
    pub begun_by: String,
    /// Where the shards are.
    pub root: &'a Path,
    /// What else must be the same for all workers: the program, the device.
    pub facts: Vec<Fact>,
    /// How the merged file keeps features.
    pub kept_as: KeptAs,
}

/// What became of a worker's share, in images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Passed through the network by this worker.
    pub made: u64,
    /// Done before.
    pub found: u64,
    /// Being done by other workers.
    pub elsewhere: u64,
}

/// What the merge needs to know.
#[derive(Debug, Serialize, Deserialize)]
struct Plan {
    net: NetFacts,
    options: GatherOptions,
    kept_as: KeptAs,
    /// Without the hash, which no worker knows.
    origin: Origin,
}

/// Passes a worker's share of the images through the network. `stop` is asked between batches.
///
/// # Errors
/// As [`Statistics::of_samples`]; [`Error::Shards`] if the other shards are of something else;
/// [`Error::Stopped`] on request. Finished batches are kept.
pub fn shard_of_samples(
    source: &ImageSource,
    net: &dyn FeatureNet,
    options: &GatherOptions,
    sharding: &Sharding<'_>,
    stop: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Share> {
    // Refuses what the merge would refuse.
    Collector::new(net, source.count(), options)?;
    let folder = ShardFolder::open(sharding.root, &record(source, net, options, sharding)?)?;
    let claims = folder.claim(SERIES, sharding.shard.range(source.count()))?;
    let mut share = Share { made: 0, found: claims.done, elsewhere: claims.elsewhere };
    let count = claims.count();
    progress(0, count);
    let extracted = claims.mine.iter().try_for_each(|claim| {
        let mut first = claim.range.start;
        source.read_range(claim.range.clone(), options.batch, |images| {
            if stop() {
                return Err(Error::Stopped);
            }
            let range = first..first + images.count as u64;
            let mut hash = ContentHash::new(source.size());
            hash.update(&images);
            let features = net.extract(&images)?;
            finite(&features.pooled, features.dims, first).map_err(|error| named(error, source.path()))?;
            pieces::write(&folder.file(SERIES, &range, ENDING), &range, &features, hash.finish())?;
            first = range.end;
            share.made += images.count as u64;
            progress(share.made, count);
            Ok(())
        })
    });
    drop(claims);
    if let Err(error) = extracted {
        if !matches!(error, Error::Stopped) {
            folder.discard_if_empty();
        }
        return Err(error);
    }
    Ok(share)
}

/// Named here with the image's number in the set, and not only in the merge.
fn finite(rows: &[f32], dims: usize, first: u64) -> Result<()> {
    match rows.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => Err(Error::NotFinite {
            what: "features".into(),
            row: first + (at / dims.max(1)) as u64,
            column: at % dims.max(1),
            value: rows[at],
        }),
    }
}

fn record(
    source: &ImageSource,
    net: &dyn FeatureNet,
    options: &GatherOptions,
    sharding: &Sharding<'_>,
) -> Result<Record> {
    let origin = origin(source, source.count(), String::new());
    let plan = Plan { net: NetFacts::of(net), options: *options, kept_as: sharding.kept_as, origin };
    let [height, width] = source.size();
    let again = "repeat the first shard's options, or name another file with --save-statistics";
    let mut facts = sharding.facts.clone();
    facts.extend([
        Fact::new("set of images", &*plan.origin.name).or(again),
        Fact::new("size of images", format!("{width} × {height}")).or(again),
        Fact::new("network", &*plan.net.protocol).or(again),
        Fact::new("number of kept images", options.keep.to_string()).or(again),
        Fact::new("number of splits", options.splits.to_string()).or(again),
        Fact::new("seed", options.seed.to_string()).or(again),
        Fact::new("type of kept features", format!("{:?}", sharding.kept_as)).or(again),
    ]);
    Ok(Record {
        format: FORMAT,
        command: SHARDS_COMMAND.into(),
        facts,
        images: source.count(),
        series: vec![SERIES.into()],
        begun_by: sharding.begun_by.clone(),
        merge: serde_json::to_value(&plan)
            .map_err(|error| Error::source(sharding.root, error.to_string()))?,
    })
}

/// Merges the shards of a set's statistics into `file`, with the bytes that one process writes, and removes
/// them. `source` opens the images by the name that the workers were given, and by their size if they were
/// resized: their content is hashed once more, and must not have changed.
///
/// # Errors
/// If images are missing or there twice, a worker is at work, the images have changed, or a file cannot be read
/// or written.
pub fn merge_shards<E: From<Error>>(
    shards: ShardFolder,
    file: &Path,
    source: impl FnOnce(&Path, Option<u32>) -> std::result::Result<ImageSource, E>,
    progress: &mut dyn FnMut(u64, u64),
) -> std::result::Result<Statistics, E> {
    let record = shards.record().clone();
    let plan: Plan = serde_json::from_value(record.merge.clone()).map_err(|error| {
        let problem = format!("is of another version of this program ({error})");
        Error::source(shards.path(), problem)
    })?;
    let _lock = shards.lock_for_merge().map_err(Error::from)?;
    let found = shards.pieces(SERIES).map_err(Error::from)?;
    tiles(&found, record.images, &shards.path().display().to_string()).map_err(Error::from)?;
    let source = source(Path::new(&plan.origin.name), plan.origin.resized)?;
    let unhashed = |origin: &Origin| Origin { sha256: String::new(), ..origin.clone() };
    if source.count() != record.images
        || unhashed(&origin(&source, source.count(), String::new())) != unhashed(&plan.origin)
    {
        return Err(changed(&source).into());
    }
    let statistics = merged(&plan, &source, &found, progress)?;
    statistics.save(file, plan.kept_as)?;
    shards.remove().map_err(Error::from)?;
    Ok(statistics)
}

fn changed(source: &ImageSource) -> Error {
    let problem = "has changed since its shards were made; remove them, and start all of them again";
    Error::source(source.path(), problem)
}

/// The features of all pieces, in the set's order. The images are read once, in which each piece's must be
/// those that its features are of.
fn merged(
    plan: &Plan,
    source: &ImageSource,
    found: &[Piece],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Statistics> {
    let mut collector = Collector::of(plan.net.clone(), source.count(), &plan.options)?;
    let mut whole = ContentHash::new(source.size());
    let mut hash = ContentHash::new(source.size());
    let (mut rest, mut next) = (found.iter(), 0);
    let mut piece = rest.next();
    let size = source.size()[0] * source.size()[1] * 3;
    source.read(plan.options.batch, |images| {
        whole.update(&images);
        for pixels in images.pixels.chunks_exact(size) {
            let Some(current) = piece else { return Err(changed(source)) };
            hash.update_pixels(pixels);
            next += 1;
            if next == current.range.end {
                let (features, of) = pieces::read(&current.path, &current.range, &plan.net)?;
                if hash.finish() != of {
                    return Err(changed(source));
                }
                collector.push(&features).map_err(|error| named(error, source.path()))?;
                progress(collector.count(), source.count());
                hash = ContentHash::new(source.size());
                piece = rest.next();
            }
        }
        Ok(())
    })?;
    collector.finish(Origin { sha256: whole.finish(), ..plan.origin.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Toy, picture, write_npz};
    use crate::{EvaluateOptions, evaluate};

    fn sharding(root: &Path, index: u64, count: u64) -> Sharding<'_> {
        Sharding {
            shard: Shard::new(index, count).unwrap(),
            begun_by: "a test".into(),
            root,
            facts: vec![Fact::new("device", "cpu")],
            kept_as: KeptAs::F32,
        }
    }

    const OPTIONS: GatherOptions = GatherOptions { keep: 300, splits: 3, seed: 5, batch: 64 };

    fn set(root: &Path, images: u64) -> ImageSource {
        let path = root.join("samples.npz");
        write_npz(&path, &(0..images).map(|i| picture(i, 3, 2)).collect::<Vec<_>>());
        ImageSource::open(&path).unwrap()
    }

    fn merged(shards: &Path, file: &Path) -> Result<Statistics> {
        let folder = ShardFolder::find(shards).unwrap().unwrap();
        merge_shards(folder, file, ImageSource::open_at, &mut |_, _| {})
    }

    #[test]
    fn one_two_and_seven_shards_give_the_bytes_and_the_fid_of_one_process() {
        let root = tempfile::tempdir().unwrap();
        let (source, net) = (set(root.path(), 1100), Toy::default());
        let file = root.path().join("one.safetensors");
        let input = crate::Input::Images(source.clone());
        let one =
            Statistics::of_samples_saved(&input, &net, &OPTIONS, &file, KeptAs::F32, &mut |_, _| {}).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        let other = root.path().join("other.npz");
        write_npz(&other, &(0..900).map(|i| picture(i + 5000, 3, 2)).collect::<Vec<_>>());
        let other = crate::Input::open(&other, None).unwrap();
        let other = Statistics::of_samples(&other, &net, &OPTIONS, &mut |_, _| {}).unwrap();
        let fid = |statistics: &Statistics| {
            let report =
                evaluate(statistics, &other, None, &EvaluateOptions::default(), &mut |_| {}).unwrap();
            report.measures[0].value.to_bits()
        };
        let expected = fid(&one);
        for count in [1, 2, 7] {
            let shards = root.path().join(format!("{count}.safetensors.shards"));
            // In any order, with any batch.
            for index in (0..count).rev() {
                let options = GatherOptions { batch: 50 + index as usize, ..OPTIONS };
                let options = if index == 0 { OPTIONS } else { options };
                let sharding = sharding(&shards, index, count);
                let share =
                    shard_of_samples(&source, &net, &options, &sharding, &|| false, &mut |_, _| {}).unwrap();
                let range = sharding.shard.range(1100);
                assert_eq!(share, Share { made: range.end - range.start, found: 0, elsewhere: 0 });
            }
            let file = root.path().join(format!("{count}.safetensors"));
            let statistics = merged(&shards, &file).unwrap();
            assert!(std::fs::read(&file).unwrap() == bytes, "{count} shards");
            assert_eq!(fid(&statistics), expected, "{count} shards");
            assert_eq!(fid(&Statistics::read(&file).unwrap()), expected, "{count} shards");
            assert!(!shards.exists());
        }
    }

    #[test]
    fn a_stopped_worker_and_another_cut_keep_what_is_done() {
        let root = tempfile::tempdir().unwrap();
        let (source, net) = (set(root.path(), 400), Toy::default());
        let shards = root.path().join("s.shards");
        let asked = std::cell::Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            asked.get() > 2
        };
        let stopped =
            shard_of_samples(&source, &net, &OPTIONS, &sharding(&shards, 0, 2), &stop, &mut |_, _| {});
        assert!(matches!(stopped, Err(Error::Stopped)));
        let file = root.path().join("s.safetensors");
        let error = merged(&shards, &file).unwrap_err().to_string();
        assert!(error.contains("lacks 272 of 400 images: 128 to 399"), "{error}");
        let mut found = 0;
        for index in 0..3 {
            let share = shard_of_samples(
                &source,
                &net,
                &OPTIONS,
                &sharding(&shards, index, 3),
                &|| false,
                &mut |_, _| {},
            );
            found += share.unwrap().found;
        }
        assert_eq!(found, 128);
        assert_eq!(merged(&shards, &file).unwrap().origin.images, Some(400));
    }

    #[test]
    fn shards_of_something_else_and_images_that_changed_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let (source, net) = (set(root.path(), 60), Toy::default());
        let shards = root.path().join("s.shards");
        let run = |source: &ImageSource, options: &GatherOptions, sharding: &Sharding<'_>| {
            shard_of_samples(source, &net, options, sharding, &|| false, &mut |_, _| {})
        };
        run(&source, &OPTIONS, &sharding(&shards, 0, 2)).unwrap();
        let other = GatherOptions { seed: 6, ..OPTIONS };
        let error = run(&source, &other, &sharding(&shards, 1, 2)).unwrap_err().to_string();
        assert!(error.contains("another seed: 5 there, 6 here"), "{error}");
        let mut elsewhere = sharding(&shards, 1, 2);
        elsewhere.facts = vec![Fact::new("device", "cuda")];
        assert!(run(&source, &OPTIONS, &elsewhere).unwrap_err().to_string().contains("another device"));
        run(&source, &OPTIONS, &sharding(&shards, 1, 2)).unwrap();
        let path = root.path().join("samples.npz");
        write_npz(&path, &(1..61).map(|i| picture(i, 3, 2)).collect::<Vec<_>>());
        let file = root.path().join("s.safetensors");
        let error = merged(&shards, &file).unwrap_err().to_string();
        assert!(error.contains("has changed since its shards were made"), "{error}");
        write_npz(&path, &(0..60).map(|i| picture(i, 3, 2)).collect::<Vec<_>>());
        let piece = shards.join("features/00000-00029.safetensors");
        let whole = std::fs::read(&piece).unwrap();
        let mut torn = whole.clone();
        *torn.last_mut().unwrap() ^= 1;
        std::fs::write(&piece, torn).unwrap();
        let error = merged(&shards, &file).unwrap_err().to_string();
        assert!(error.contains("00000-00029.safetensors is damaged; delete it"), "{error}");
        std::fs::write(&piece, whole).unwrap();
        merged(&shards, &file).unwrap();
    }

    #[test]
    fn features_that_are_no_numbers_are_named_and_leave_nothing() {
        let root = tempfile::tempdir().unwrap();
        let source = set(root.path(), 60);
        let net = Toy { fault: Some(f32::NAN), ..Toy::default() };
        let shards = root.path().join("s.shards");
        let error =
            shard_of_samples(&source, &net, &OPTIONS, &sharding(&shards, 1, 2), &|| false, &mut |_, _| {})
                .unwrap_err()
                .to_string();
        assert!(error.contains("samples.npz") && error.contains("of image 30"), "{error}");
        assert!(!shards.exists());
    }
}
