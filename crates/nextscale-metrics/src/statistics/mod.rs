//! What the measures need of a set of images, gathered in one pass, kept in a file, compared any number of times.

mod file;
mod gather;

pub use file::KeptAs;
pub use gather::{Collector, GatherOptions};

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::frechet::Gaussian;
use crate::inception_score::ScoreSums;
use crate::precision_recall::{Manifold, Neighbours, Radii};
use crate::source::{ImageSource, npz};
use crate::{Error, FeatureNet, FeatureSums, Moments, Result};

/// Where statistics come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The folder or file, as it was named.
    pub name: String,
    /// How many images were measured; unknown where only their moments are at hand.
    pub images: Option<u64>,
    /// Height and width of the images, in pixels.
    pub size: Option<[usize; 2]>,
    /// SHA-256 of the images' content (see [`ContentHash`](crate::source::ContentHash)), or of the file where only moments
    /// are at hand.
    pub sha256: String,
    /// The data set's part: "train", "test", …, where the name tells it.
    pub split: Option<String>,
    /// The hash of the config that made them, where a run folder tells it.
    pub config: Option<String>,
}

impl Origin {
    /// The split that a path names by its last or last but one part.
    pub(crate) fn split_of(path: &Path) -> Option<String> {
        let parts = path.file_stem().into_iter().chain(path.parent().and_then(Path::file_name));
        let mut names = parts.map(|part| part.to_string_lossy().to_lowercase());
        names.find(|name| ["train", "test", "val", "validation"].contains(&name.as_str()))
    }
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
    /// Features of a vector.
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

/// Features of some images of a set, for the measures that need features themselves.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Pooled features, `[kept images, dims]`, in the set's order.
    pub rows: Vec<f32>,
    /// Features of an image.
    pub dims: usize,
}

impl Kept {
    /// How many images.
    pub fn count(&self) -> usize {
        self.rows.len() / self.dims.max(1)
    }
}

/// Everything that the measures need of a set of images.
///
/// What is costly and only depends on this set (the covariance's decomposition, the radii of neighbourhoods) is found
/// once and remembered, so a reference serves many comparisons.
#[derive(Debug)]
pub struct Statistics {
    /// Where they come from.
    pub origin: Origin,
    /// The network's short name.
    pub net: String,
    /// The network's protocol; `None` where another program made the features.
    pub protocol: Option<String>,
    /// Of the pooled features.
    pub pooled: Distribution,
    /// Of the spatial features, where the network has them.
    pub spatial: Option<Distribution>,
    /// Pooled features, if any are kept.
    pub kept: Option<Kept>,
    /// For the Inception Score, where the network has classes.
    pub score: Option<ScoreSums>,
    gaussians: [Memo<Gaussian>; 2],
    radii: Memo<(Neighbours, Radii)>,
}

/// Something that is found once.
type Memo<T> = Mutex<Option<Arc<T>>>;

fn remembered<T>(
    memo: &Memo<T>,
    fits: impl Fn(&T) -> bool,
    find: impl FnOnce() -> Result<T>,
) -> Result<Arc<T>> {
    // A thread that died while it searched has left nothing behind.
    let mut memo = memo.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = memo.as_ref().filter(|found| fits(found)) {
        return Ok(Arc::clone(found));
    }
    let found = Arc::new(find()?);
    *memo = Some(Arc::clone(&found));
    Ok(found)
}

impl Statistics {
    /// Statistics of what was gathered elsewhere.
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
        remembered(&self.gaussians[0], |_| true, || Gaussian::new(&self.pooled.moments()?))
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

    /// Looks whether [`of_samples`](Self::of_samples) or [`of_reference`](Self::of_reference) could open a file or folder, by
    /// its names and headers: what is wrong should be said before hours of work.
    ///
    /// # Errors
    /// As those, as far as can be seen without decoding an image.
    pub fn check(path: &Path, net: &dyn FeatureNet) -> Result<()> {
        if is_statistics_file(path) {
            return Self::read(path)?.check_network(net, path);
        }
        if is_npz(path) && net.name() == "inception" && npz::moments(path, "mu", "sigma")?.is_some() {
            return Ok(());
        }
        ImageSource::open(path).map(drop)
    }

    /// Opens samples: a statistics file (`.safetensors`), or images as [`ImageSource`](crate::source::ImageSource) opens them,
    /// which are then put through the network.
    ///
    /// `progress` is told how many images are done, and of how many.
    ///
    /// # Errors
    /// [`Error::Source`] or [`Error::Io`], naming the file; whatever the network returns.
    pub fn of_samples(
        path: &Path,
        net: &dyn FeatureNet,
        options: &GatherOptions,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self> {
        if is_statistics_file(path) {
            let found = Self::read(path)?;
            found.check_network(net, path)?;
            return Ok(found);
        }
        gather::gather(path, net, options, progress)
    }

    /// Opens a reference: as [`of_samples`](Self::of_samples), and `.npz` files with `mu` and `sigma` (and `mu_s` and
    /// `sigma_s`, of spatial features), as pytorch-fid and the ADM suite have them. Those replace the moments of the
    /// images in the file, if it has any, because the file's are of the whole reference set.
    ///
    /// # Errors
    /// As [`of_samples`](Self::of_samples); [`Error::Source`] if the moments are not of this network's features.
    pub fn of_reference(
        path: &Path,
        net: &dyn FeatureNet,
        options: &GatherOptions,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self> {
        let is_npz =
            path.is_file() && path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz"));
        // Files with moments are of Inception features; on others their images serve as any images do.
        let moments =
            if is_npz && net.name() == "inception" { npz::moments(path, "mu", "sigma")? } else { None };
        let Some(pooled) = moments else {
            return Self::of_samples(path, net, options, progress);
        };
        let spatial = npz::moments(path, "mu_s", "sigma_s")?;
        check_dims(path, "mu", pooled.dims(), Some(net.dims()))?;
        if let Some(spatial) = &spatial {
            check_dims(path, "mu_s", spatial.dims(), net.spatial_dims())?;
        }
        let mut found = if npz::has_images(path)? {
            gather::gather(path, net, options, progress)?
        } else {
            Self::new(gather::file_origin(path)?, net.name(), None, Distribution::Given(pooled.clone()))
        };
        found.pooled = Distribution::Given(pooled);
        found.spatial = spatial.map(Distribution::Given);
        found.score = None;
        Ok(found)
    }

    /// Whether they are of this network's features, by protocol.
    fn check_network(&self, net: &dyn FeatureNet, path: &Path) -> Result<()> {
        let protocol = net.protocol();
        match &self.protocol {
            Some(found) if *found != protocol => Err(Error::Mismatch {
                a: path.display().to_string(),
                b: "the network at hand".into(),
                problem: format!(
                    "the file is of `{found}`, the network is `{protocol}`; gather the statistics again"
                ),
            }),
            _ => Ok(()),
        }
    }
}

fn is_npz(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npz")) && !path.is_dir()
}

fn is_statistics_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("safetensors")) && !path.is_dir()
}

fn check_dims(path: &Path, name: &str, found: usize, expected: Option<usize>) -> Result<()> {
    let expected = match expected {
        Some(dims) if dims == found => return Ok(()),
        Some(dims) => format!("{dims}"),
        None => "none".into(),
    };
    Err(Error::source(
        path,
        format!("`{name}` is of {found} features; the network has {expected} of that kind"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Toy, add_array, picture, write_npz};

    fn gather(path: &Path) -> Result<Statistics> {
        Statistics::of_reference(path, &Toy::default(), &GatherOptions::default(), &mut |_, _| {})
    }

    #[test]
    fn a_path_tells_its_split() {
        let split = |path: &str| Origin::split_of(path.as_ref());
        assert_eq!(split("cifar/test").as_deref(), Some("test"));
        assert_eq!(split("cifar/Train/cats").as_deref(), Some("train"));
        assert_eq!(split("cifar/test.npz").as_deref(), Some("test"));
        assert_eq!(split("latest/run"), None);
    }

    #[test]
    fn moments_in_a_reference_take_the_place_of_its_images() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("ref.npz");
        let pictures: Vec<_> = (0..20).map(|i| picture(i, 4, 4)).collect();
        write_npz(&path, &pictures);
        let images = gather(&path).unwrap();
        let moments = images.pooled.moments().unwrap();
        let mut writer = npyz::npz::NpzWriter::create(&path).unwrap();
        add_array(&mut writer, "mu", &[12], moments.mean());
        add_array(&mut writer, "sigma", &[12, 12], moments.covariance());
        drop(writer);
        let given = gather(&path).unwrap();
        assert_eq!((given.origin.images, given.protocol.as_deref()), (None, None));
        assert!(given.kept.is_none() && given.origin.sha256.len() == 64);
        let distance =
            crate::frechet::frechet(&*given.gaussian().unwrap(), &*images.gaussian().unwrap()).unwrap();
        assert!(distance.abs() < 1e-9, "{distance}");
        let other = Toy { name: "lite0", ..Toy::default() };
        let options = GatherOptions::default();
        let error =
            Statistics::of_reference(&path, &other, &options, &mut |_, _| {}).unwrap_err().to_string();
        assert!(error.contains("has no array `arr_0` of images; it has `mu`, `sigma`"), "{error}");
    }

    #[test]
    fn moments_of_other_features_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("ref.npz");
        let mut writer = npyz::npz::NpzWriter::create(&path).unwrap();
        add_array(&mut writer, "mu", &[2], &[0.0_f64; 2]);
        add_array(&mut writer, "sigma", &[2, 2], &[1.0_f64, 0.0, 0.0, 1.0]);
        drop(writer);
        let error = gather(&path).unwrap_err().to_string();
        assert!(error.contains("ref.npz: `mu` is of 2 features; the network has 12"), "{error}");
    }
}
