//! The kernels of a build with devices.

mod append;
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
mod softmax;
mod weight;

use super::Keep;
pub use layers::{append, faults, first};
pub(crate) use layers::{group_norm, softmax};
pub use operations::{filter, inverse_cdf};
pub(crate) use operations::{heads, norm};
