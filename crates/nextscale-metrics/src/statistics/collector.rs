//! Collects a set's features, as they arrive, into statistics.

use serde::{Deserialize, Serialize};

use super::{Distribution, Kept, Origin, Statistics};
use crate::inception_score::{ScoreSums, Splits};
use crate::numpy_random::RandomState;
use crate::{Error, FeatureNet, FeatureSums, Features, Result};

/// How statistics are gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatherOptions {
    /// The number of images whose features are kept, for KID, precision and recall; from larger sets a seeded
    /// choice of this many. 10,000 Inception features take 82 MB.
    pub keep: usize,
    /// Splits of the Inception Score.
    pub splits: usize,
    /// The seed of the choice of kept images and of the splits.
    pub seed: u32,
    /// Images decoded and passed to the network at a time.
    pub batch: usize,
}

impl Default for GatherOptions {
    fn default() -> Self {
        Self { keep: 10_000, splits: 10, seed: 2020, batch: 64 }
    }
}

/// What statistics need to know of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NetFacts {
    pub name: String,
    pub protocol: String,
    pub dims: usize,
    pub spatial_dims: Option<usize>,
    pub classes: Option<usize>,
}

impl NetFacts {
    pub fn of(net: &dyn FeatureNet) -> Self {
        Self {
            name: net.name().into(),
            protocol: net.protocol(),
            dims: net.dims(),
            spatial_dims: net.spatial_dims(),
            classes: net.classes(),
        }
    }
}

/// Collects a set's features, as they arrive, into [`Statistics`]. Memory does not grow with the set.
#[derive(Debug)]
pub struct Collector {
    net: String,
    protocol: String,
    expected: u64,
    pooled: FeatureSums,
    spatial: Option<FeatureSums>,
    kept: Kept,
    /// The images whose features are kept, ascending; those before `kept.count()` have arrived.
    chosen: Vec<u32>,
    score: Option<(ScoreSums, Splits)>,
}

impl Collector {
    /// For a set of `images` images.
    ///
    /// # Errors
    /// [`Error::TooFew`] if there are none; [`Error::Setting`] for more than 2³² - 1 or a wrong number of
    /// splits.
    pub fn new(net: &dyn FeatureNet, images: u64, options: &GatherOptions) -> Result<Self> {
        Self::of(NetFacts::of(net), images, options)
    }

    /// As [`new`](Self::new), without the network itself.
    pub(super) fn of(net: NetFacts, images: u64, options: &GatherOptions) -> Result<Self> {
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
        let score = match net.classes {
            Some(classes) => Some((
                ScoreSums::new(options.splits, classes),
                Splits::new(images, options.splits, options.seed)?,
            )),
            None => None,
        };
        Ok(Self {
            net: net.name,
            protocol: net.protocol,
            expected: images,
            pooled: FeatureSums::new(net.dims),
            spatial: net.spatial_dims.map(FeatureSums::new),
            kept: Kept { rows: Vec::with_capacity(chosen.len() * net.dims), dims: net.dims },
            chosen,
            score,
        })
    }

    /// Adds the features of the next images.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if one is NaN or infinite, [`Error::Shape`] if they do not match each other, the
    /// network or the number of images. The collector is then unusable.
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

    /// The number of images so far.
    pub fn count(&self) -> u64 {
        self.pooled.count()
    }

    /// Whether the current state can be stored and resumed with the same result, bit for bit.
    pub(super) fn at_rest(&self) -> bool {
        self.pooled.is_flushed() && self.spatial.as_ref().is_none_or(FeatureSums::is_flushed)
    }

    /// Passes the current state to `store` as statistics. The kept features, most of it, are not copied.
    pub(super) fn store(
        &mut self,
        origin: Origin,
        store: impl FnOnce(&Statistics) -> Result<()>,
    ) -> Result<()> {
        let protocol = Some(self.protocol.clone());
        let pooled = Distribution::Sums(self.pooled.clone());
        let mut statistics = Statistics::new(origin, self.net.clone(), protocol, pooled);
        statistics.spatial = self.spatial.clone().map(Distribution::Sums);
        statistics.score = self.score.as_ref().map(|(sums, _)| sums.clone());
        let rows = std::mem::take(&mut self.kept.rows);
        statistics.kept = (!rows.is_empty()).then_some(Kept { rows, ..self.kept });
        let stored = store(&statistics);
        self.kept.rows = statistics.kept.map(|kept| kept.rows).unwrap_or_default();
        stored
    }

    /// Resumes from what [`store`](Self::store) passed on in a new collector for the same set; `None` if it
    /// belongs to another.
    pub(super) fn go_on(mut self, part: Statistics) -> Option<Self> {
        let Distribution::Sums(pooled) = part.pooled else { return None };
        let spatial = match part.spatial {
            Some(Distribution::Sums(sums)) => Some(sums),
            Some(Distribution::Given(_)) => return None,
            None => None,
        };
        let kept = part.kept.unwrap_or_else(|| Kept { rows: Vec::new(), dims: self.kept.dims });
        let chosen = self.chosen.iter().take_while(|&&image| u64::from(image) < pooled.count()).count();
        let dims = |sums: &Option<FeatureSums>| sums.as_ref().map(|sums| (sums.dims(), sums.count()));
        let fits = part.protocol.as_deref() == Some(&*self.protocol)
            && pooled.dims() == self.pooled.dims()
            && pooled.count() <= self.expected
            && dims(&spatial) == self.spatial.as_ref().map(|sums| (sums.dims(), pooled.count()))
            && kept.count() == chosen;
        let score = match (self.score, part.score) {
            (Some((new, splits)), Some(sums)) if sums.fits(&new) => Some((sums, splits)),
            (None, None) => None,
            _ => return None,
        };
        self.score = score;
        (self.pooled, self.spatial, self.kept) = (pooled, spatial, kept);
        fits.then_some(self)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Toy, origin, picture};

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
