//! Files and folders into statistics.

use std::path::Path;

use super::gather::{self, Checkpoint};
use super::{Distribution, GatherOptions, KeptAs, Statistics};
use crate::source::{ImageSource, npz};
use crate::{Error, FeatureNet, Result};

impl Statistics {
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

    /// Opens samples: a statistics file (`.safetensors`), or images as [`ImageSource`] opens them,
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
        gather::gather(path, net, options, None, progress)
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
            gather::gather(path, net, options, None, progress)?
        } else {
            Self::new(gather::file_origin(path)?, net.name(), None, Distribution::Given(pooled.clone()))
        };
        found.pooled = Distribution::Given(pooled);
        found.spatial = spatial.map(Distribution::Given);
        found.score = None;
        Ok(found)
    }

    /// As [`of_samples`](Self::of_samples), and saves the statistics to `file`. Meanwhile what is done lies beside it, in
    /// `FILE.partial`, and is written anew about once a minute: after an interruption the same call goes on from there, with
    /// the same result to the last bit.
    ///
    /// # Errors
    /// As [`of_samples`](Self::of_samples) and [`save`](Self::save).
    pub fn of_samples_saved(
        path: &Path,
        net: &dyn FeatureNet,
        options: &GatherOptions,
        file: &Path,
        kept_as: KeptAs,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self> {
        if is_statistics_file(path) {
            let found = Self::of_samples(path, net, options, progress)?;
            found.save(file, kept_as)?;
            return Ok(found);
        }
        let checkpoint = Checkpoint::beside(file);
        let found = gather::gather(path, net, options, Some(&checkpoint), progress)?;
        found.save(file, kept_as)?;
        checkpoint.remove();
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
            crate::frechet::frechet(&given.gaussian().unwrap(), &images.gaussian().unwrap()).unwrap();
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
