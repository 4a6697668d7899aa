//! What the measures need of a set of images: gathered in one pass, stored in a file, compared any number of
//! times.

mod collector;
mod file;
mod gather;
mod input;
mod open;
mod pieces;
mod shards;
mod shipped;

pub use collector::{Collector, GatherOptions};
pub use file::KeptAs;
pub use input::Input;
pub use shards::{SHARDS_COMMAND, Sharding, Share, merge_shards, shard_of_samples};

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

#[cfg(test)]
use crate::Error;
use crate::frechet::Gaussian;
use crate::inception_score::ScoreSums;
use crate::precision_recall::{Manifold, Neighbours, Radii};
use crate::{FeatureSums, Moments, Result};

/// The origin of statistics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The folder or file, as named by the user.
    pub name: String,
    /// The number of images; unknown if only their moments are available.
    pub images: Option<u64>,
    /// Height and width of the images, in pixels.
    pub size: Option<[usize; 2]>,
    /// SHA-256 of the images' content (see [`ContentHash`](crate::source::ContentHash)), or of the file if
    /// only moments are available.
    pub sha256: String,
    /// The data set's split: "train", "test", …, if the path has it.
    pub split: Option<String>,
    /// The hash of the config that generated them, if a run folder has it.
    pub config: Option<String>,
    /// How many of the images are JPEG files that were not decoded as libjpeg-turbo does.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub jpegs: u64,
    /// The side of the squares that images were resized to, in pixels, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resized: Option<u32>,
    /// What was beside the images and was not read, by kind, with counts (see
    /// [`ImageSource::left_out`](crate::source::ImageSource::left_out)).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, u64>,
}

impl Origin {
    /// The split named by the last or second to last part of a path.
    pub(crate) fn split_of(path: &Path) -> Option<String> {
        let parts = path.file_stem().into_iter().chain(path.parent().and_then(Path::file_name));
        let mut names = parts.map(|part| part.to_string_lossy().to_lowercase());
        names.find(|name| ["train", "test", "val", "validation"].contains(&name.as_str()))
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The distribution of one kind of features.
#[derive(Debug, Clone)]
pub enum Distribution {
    /// Sums that were gathered here.
    Sums(FeatureSums),
    /// A mean and covariance that another program stored.
    Given(Moments),
}

impl Distribution {
    /// The number of features.
    pub fn dims(&self) -> usize {
        match self {
            Self::Sums(sums) => sums.dims(),
            Self::Given(moments) => moments.dims(),
        }
    }

    fn moments(&self) -> Result<Moments> {
        match self {
            Self::Sums(sums) => sums.moments(),
            Self::Given(moments) => Ok(moments.clone()),
        }
    }
}

/// Features of some images of a set, for measures that need the features themselves.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Pooled features, `[kept images, dims]`, in the set's order.
    pub rows: Vec<f32>,
    /// The number of features.
    pub dims: usize,
}

impl Kept {
    /// The number of images.
    pub fn count(&self) -> usize {
        self.rows.len() / self.dims.max(1)
    }
}

/// Everything that the measures need of a set of images.
///
/// Whatever is expensive and depends only on this set (the covariance's decomposition, the radii of
/// neighbourhoods) is computed once and remembered, so a reference serves many comparisons.
#[derive(Debug)]
pub struct Statistics {
    /// The origin.
    pub origin: Origin,
    /// The network's short name.
    pub net: String,
    /// The network's protocol; `None` if another program computed the features.
    pub protocol: Option<String>,
    /// Of the pooled features.
    pub pooled: Distribution,
    /// Of the spatial features, if the network has them.
    pub spatial: Option<Distribution>,
    /// Pooled features, if any are kept.
    pub kept: Option<Kept>,
    /// For the Inception Score, if the network has classes.
    pub score: Option<ScoreSums>,
    gaussians: [Memo<Gaussian>; 2],
    radii: Memo<(Neighbours, Radii)>,
}

/// A value that is computed once.
type Memo<T> = Mutex<Option<Arc<T>>>;

fn remembered<T>(
    memo: &Memo<T>,
    fits: impl Fn(&T) -> bool,
    find: impl FnOnce() -> Result<T>,
) -> Result<Arc<T>> {
    // A thread that panicked while computing has left nothing behind.
    let mut memo = memo.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = memo.as_ref().filter(|found| fits(found)) {
        return Ok(Arc::clone(found));
    }
    let found = Arc::new(find()?);
    *memo = Some(Arc::clone(&found));
    Ok(found)
}

impl Statistics {
    /// Statistics gathered elsewhere.
    pub fn new(
        origin: Origin,
        net: impl Into<String>,
        protocol: Option<String>,
        pooled: Distribution,
    ) -> Self {
        Self {
            origin,
            net: net.into(),
            protocol,
            pooled,
            spatial: None,
            kept: None,
            score: None,
            gaussians: Default::default(),
            radii: Default::default(),
        }
    }

    /// The pooled features' Gaussian.
    ///
    /// # Errors
    /// As [`FeatureSums::moments`] and [`Gaussian::new`].
    pub fn gaussian(&self) -> Result<Arc<Gaussian>> {
        remembered(
            &self.gaussians[0],
            |_| true,
            || match (&self.pooled, &self.kept) {
                // The vectors of the whole set, fewer than their dimensions: the fast way.
                (Distribution::Sums(sums), Some(kept))
                    if kept.count() as u64 == sums.count() && kept.count() < kept.dims =>
                {
                    Gaussian::of_rows(&kept.rows, kept.dims)
                }
                _ => Gaussian::new(&self.pooled.moments()?),
            },
        )
    }

    /// The spatial features' Gaussian; `None` if there are none.
    ///
    /// # Errors
    /// As [`gaussian`](Self::gaussian).
    pub fn spatial_gaussian(&self) -> Result<Option<Arc<Gaussian>>> {
        let Some(spatial) = &self.spatial else { return Ok(None) };
        remembered(&self.gaussians[1], |_| true, || Gaussian::new(&spatial.moments()?)).map(Some)
    }

    /// The kept features with their neighbourhoods; `None` if none are kept.
    ///
    /// # Errors
    /// As [`Manifold::new`].
    pub fn manifold(&self, neighbours: Neighbours) -> Result<Option<Manifold<'_>>> {
        let Some(kept) = &self.kept else { return Ok(None) };
        let radii = remembered(
            &self.radii,
            |(of, _)| *of == neighbours,
            || {
                let manifold = Manifold::new(&kept.rows, kept.dims, neighbours)?;
                Ok((neighbours, manifold.radii().clone()))
            },
        )?;
        Manifold::with_radii(&kept.rows, kept.dims, neighbours, radii.1.clone()).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_its_split() {
        let split = |path: &str| Origin::split_of(path.as_ref());
        assert_eq!(split("cifar/test").as_deref(), Some("test"));
        assert_eq!(split("cifar/Train/cats").as_deref(), Some("train"));
        assert_eq!(split("cifar/test.npz").as_deref(), Some("test"));
        assert_eq!(split("latest/run"), None);
    }

    #[test]
    fn what_was_found_is_remembered_while_it_fits() {
        let memo = Memo::default();
        let find = |wanted: u32, find: u32| remembered(&memo, |found| *found == wanted, || Ok(find)).unwrap();
        assert_eq!(*find(1, 1), 1);
        assert_eq!(*find(1, 9), 1);
        assert_eq!(*find(2, 2), 2);
        let failed = remembered(&memo, |_| false, || Err(Error::Pixels("no".into())));
        assert!(failed.is_err());
        assert_eq!(*find(2, 9), 2);
    }
}
