//! Files and folders into statistics.

use std::path::Path;

use super::gather::{self, Checkpoint};
use super::{Distribution, GatherOptions, Input, KeptAs, Statistics};
use crate::source::npz;
use crate::{Error, FeatureNet, Moments, Result};

impl Statistics {
    /// Checks by its headers whether [`of_samples`](Self::of_samples), or
    /// [`of_reference`](Self::of_reference), could take an input: errors should come before hours of work.
    ///
    /// # Errors
    /// As those functions, as far as can be seen without decoding an image.
    pub fn check(input: &Input, net: &dyn FeatureNet, is_reference: bool) -> Result<()> {
        if let Some(array) = input.array()? {
            return match input {
                Input::File(path) if !is_reference => Err(no_samples(path)),
                Input::File(path) => moments(path, net).map(drop),
                Input::Images(_) if is_reference && net.name() == "inception" => {
                    npz::moments(array, "mu", "sigma").map(drop)
                }
                Input::Images(_) | Input::Shipped(_) => Ok(()),
            };
        }
        match input {
            Input::File(path) => Self::read(path)?.check_network(net, path),
            Input::Shipped(name) => Self::shipped(name)?.check_network(net, input.path()),
            Input::Images(_) => Ok(()),
        }
    }

    /// Takes samples: a statistics file's, or those of images, which are then passed through the network.
    ///
    /// `progress` receives the number of images done and their total.
    ///
    /// # Errors
    /// [`Error::Source`] or [`Error::Io`], naming the file; and the network's errors.
    pub fn of_samples(
        input: &Input,
        net: &dyn FeatureNet,
        options: &GatherOptions,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self> {
        match input {
            Input::Images(source) => gather::gather(source, net, options, None, progress),
            Input::Shipped(name) => {
                let found = Self::shipped(name)?;
                found.check_network(net, input.path())?;
                Ok(found)
            }
            Input::File(path) if input.array()?.is_some() => Err(no_samples(path)),
            Input::File(path) => {
                let found = Self::read(path)?;
                found.check_network(net, path)?;
                Ok(found)
            }
        }
    }

    /// Takes a reference: as [`of_samples`](Self::of_samples), and also `.npz` files with `mu` and `sigma`
    /// (and `mu_s` and `sigma_s` for spatial features), as in pytorch-fid and the ADM suite. These moments
    /// take precedence over those of images in the same file, because they cover the whole reference set.
    ///
    /// # Errors
    /// As [`of_samples`](Self::of_samples); [`Error::Source`] if the moments do not fit this network's
    /// features.
    pub fn of_reference(
        input: &Input,
        net: &dyn FeatureNet,
        options: &GatherOptions,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self> {
        // Files with moments hold Inception features; for other networks, their images serve like any others.
        let pooled = match (input.array()?, input) {
            (Some(path), Input::File(_)) => Some(moments(path, net)?),
            (Some(path), Input::Images(_)) if net.name() == "inception" => npz::moments(path, "mu", "sigma")?,
            _ => None,
        };
        let (Some(pooled), Some(path)) = (pooled, input.array()?) else {
            return Self::of_samples(input, net, options, progress);
        };
        let spatial = npz::moments(path, "mu_s", "sigma_s")?;
        check_dims(path, "mu", pooled.dims(), Some(net.dims()))?;
        if let Some(spatial) = &spatial {
            check_dims(path, "mu_s", spatial.dims(), net.spatial_dims())?;
        }
        let mut found = match input {
            Input::Images(source) => gather::gather(source, net, options, None, progress)?,
            Input::File(_) | Input::Shipped(_) => {
                let given = Distribution::Given(pooled.clone());
                Self::new(gather::file_origin(path)?, net.name(), None, given)
            }
        };
        found.pooled = Distribution::Given(pooled);
        found.spatial = spatial.map(Distribution::Given);
        found.score = None;
        Ok(found)
    }

    /// As [`of_samples`](Self::of_samples), and saves the statistics to `file`. Meanwhile progress is stored
    /// in `FILE.partial`, about once a minute: after an interruption, the same call resumes from it with the
    /// same result, bit for bit.
    ///
    /// # Errors
    /// As [`of_samples`](Self::of_samples) and [`save`](Self::save).
    pub fn of_samples_saved(
        input: &Input,
        net: &dyn FeatureNet,
        options: &GatherOptions,
        file: &Path,
        kept_as: KeptAs,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self> {
        let Input::Images(source) = input else {
            let found = Self::of_samples(input, net, options, progress)?;
            found.save(file, kept_as)?;
            return Ok(found);
        };
        let checkpoint = Checkpoint::beside(file);
        let found = gather::gather(source, net, options, Some(&checkpoint), progress)?;
        found.save(file, kept_as)?;
        checkpoint.remove();
        Ok(found)
    }

    /// Whether they come from this network's features, by protocol.
    fn check_network(&self, net: &dyn FeatureNet, path: &Path) -> Result<()> {
        let protocol = net.protocol();
        match &self.protocol {
            Some(found) if *found != protocol => Err(Error::Mismatch {
                a: path.display().to_string(),
                b: "the network at hand".into(),
                problem: format!(
                    "the file comes from `{found}`, the network is `{protocol}`; gather the statistics again"
                ),
            }),
            _ => Ok(()),
        }
    }
}

/// The moments in an `.npz` file without images.
fn moments(path: &Path, net: &dyn FeatureNet) -> Result<Moments> {
    let found = npz::moments(path, "mu", "sigma")?;
    let Some(found) = found else {
        return Err(Error::source(
            path,
            format!(
                "has neither an array `arr_0` of images nor `mu` and `sigma`; it has {}",
                npz::array_names(path)?
            ),
        ));
    };
    if net.name() != "inception" {
        return Err(Error::source(
            path,
            "has no images, only `mu` and `sigma`, which describe Inception's features in pytorch-fid and the ADM suite; \
             compare with them on that network: --features pt_inception-2015-12-05-6726825d.pth",
        ));
    }
    check_dims(path, "mu", found.dims(), Some(net.dims()))?;
    Ok(found)
}

fn no_samples(path: &Path) -> Error {
    Error::source(
        path,
        "has no array `arr_0` of images; moments (`mu` and `sigma`) can only serve as a reference, on Inception's features",
    )
}

fn check_dims(path: &Path, name: &str, found: usize, expected: Option<usize>) -> Result<()> {
    let expected = match expected {
        Some(dims) if dims == found => return Ok(()),
        Some(dims) => format!("{dims}"),
        None => "none".into(),
    };
    Err(Error::source(
        path,
        format!("`{name}` has {found} features; the network has {expected} of that kind"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Toy, add_array, picture, write_npz};

    fn gather(path: &Path) -> Result<Statistics> {
        let (input, net) = (Input::open(path, None)?, Toy::default());
        let checked = Statistics::check(&input, &net, true);
        let found = Statistics::of_reference(&input, &net, &GatherOptions::default(), &mut |_, _| {});
        assert_eq!(checked.is_ok(), found.is_ok());
        found
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
        let input = Input::open(&path, None).unwrap();
        let error = Statistics::check(&input, &other, true).unwrap_err().to_string();
        assert!(error.contains("`mu` and `sigma`, which describe Inception's features"), "{error}");
        assert!(error.contains("--features pt_inception"), "{error}");
        let again = Statistics::of_reference(&input, &other, &GatherOptions::default(), &mut |_, _| {});
        assert_eq!(again.unwrap_err().to_string(), error);
        let error = Statistics::check(&input, &Toy::default(), false).unwrap_err().to_string();
        assert!(error.contains("can only serve as a reference"), "{error}");
        crate::testing::write_array(&path, "pool_3", &[1], &[0.0_f64]);
        let error = Input::open(&path, None).unwrap_err().to_string();
        assert!(
            error.contains("neither an array `arr_0` of images nor `mu` and `sigma`; it has `pool_3`"),
            "{error}"
        );
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
        assert!(error.contains("ref.npz: `mu` has 2 features; the network has 12"), "{error}");
    }
}
