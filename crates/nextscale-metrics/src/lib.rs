//! Features of images, and the distances between sets of them.
//!
//! A [`FeatureNet`] turns images into features; [`Statistics`] gather what the measures need of a set, in one
//! pass and in memory that does not grow with the set; [`evaluate`] compares two of them:
//!
//! ```no_run
//! # fn main() -> nextscale_metrics::Result<()> {
//! # let device = burn::tensor::Device::flex();
//! use nextscale_metrics::{EvaluateOptions, GatherOptions, Input, Lite0, Statistics, evaluate};
//! let net = Lite0::shipped(&device)?;
//! let options = GatherOptions::default();
//! let [samples, reference] = ["runs/ssg", "cifar10.safetensors"].map(|path| Input::open(path.as_ref(), None));
//! let samples = Statistics::of_samples(&samples?, &net, &options, &mut |_, _| {})?;
//! let reference = Statistics::of_reference(&reference?, &net, &options, &mut |_, _| {})?;
//! println!("{}", evaluate(&samples, &reference, None, &EvaluateOptions::default(), &mut |_| {})?);
//! # Ok(())
//! # }
//! ```
//!
//! Every measure is also a plain function of features, see [`frechet`], [`kid`], [`inception_score`],
//! [`diversity`] and [`precision_recall`].

mod distances;
pub mod diversity;
mod error;
mod evaluation;
mod features;
pub mod frechet;
mod gram;
mod images;
pub mod inception_score;
pub mod kid;
mod moments;
mod names;
mod nearest;
mod numpy_random;
mod options;
pub mod precision_recall;
pub mod probe;
mod report;
pub mod source;
pub mod statistics;
mod sums;
#[cfg(test)]
mod testing;

pub use error::{Error, Result};
pub use evaluation::evaluate;
pub use features::{FeatureNet, Features, Inception, InceptionProtocol, Lite0, Resize};
pub use images::ImageBatch;
pub use moments::Moments;
pub use nearest::{NearestNeighbours, Neighbour};
pub use options::EvaluateOptions;
pub use probe::{Probe, ProbeFile, Probing};
pub use report::{Measure, Protocol, Report};
pub use statistics::{Collector, GatherOptions, Input, Kept, KeptAs, Origin, Statistics};
pub use sums::FeatureSums;
