//! The kernels of a build with devices.

mod append;
mod convolution;
mod cube;
mod faults;
mod filter;
mod group_norm;
mod heads;
mod inverse_cdf;
mod key;
mod layers;
mod norm;
mod operations;
mod product;
mod softmax;
mod weight;

use super::Keep;
pub use layers::{append, faults, first};
pub(crate) use layers::{convolution, group_norm, product, softmax};
pub use operations::{filter, inverse_cdf};
pub(crate) use operations::{heads, norm};
