//! Statistics compiled into the program, so that distances to CIFAR-10 need no download.

use std::path::Path;

use super::Statistics;
use crate::{Error, Result};

/// CIFAR-10's 10,000 test images on Lite0's features, with the features of 2,000 of them.
const CIFAR10: &[u8] = include_bytes!("../../../../models/lite0/cifar10-test.safetensors");

impl Statistics {
    /// The shipped statistics of a data set on Lite0's features: "cifar10", its test images.
    ///
    /// # Errors
    /// If there are none of that name.
    pub fn shipped(name: &str) -> Result<Self> {
        let path = Path::new("the shipped statistics");
        if name != "cifar10" {
            return Err(Error::source(path, format!("are of `cifar10` only, not of `{name}`; give a file")));
        }
        Ok(Self::from_bytes(CIFAR10, path)?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FeatureNet, Lite0};

    #[test]
    fn they_are_of_the_shipped_network_and_at_no_distance_from_themselves() {
        let statistics = Statistics::shipped("cifar10").unwrap();
        let net = Lite0::shipped(&burn::tensor::Device::flex()).unwrap();
        assert_eq!(statistics.protocol.as_deref(), Some(net.protocol().as_str()));
        assert_eq!(
            (statistics.origin.images, statistics.kept.as_ref().unwrap().count()),
            (Some(10_000), 2_000)
        );
        let gaussian = statistics.gaussian().unwrap();
        assert!(crate::frechet::frechet(&gaussian, &gaussian).unwrap().abs() < 1e-6);
        let message = Statistics::shipped("imagenet").err().unwrap().to_string();
        assert!(message.contains("`imagenet`"), "{message}");
    }
}
