//! The kernels of a build with devices.

mod append;
mod bytes;
mod choose;
mod convolution;
mod cube;
mod draws;
mod faults;
mod filter;
mod group_norm;
mod group_norm_parts;
mod groups;
mod heads;
mod inverse_cdf;
mod key;
mod layers;
mod mix;
mod nearest;
mod noise;
mod norm;
mod operations;
mod product;
mod softmax;
mod uses;
mod weight;

use super::Keep;
pub use draws::{bytes, first_largest, has_kernels, mix, nearest, race, random};
pub use layers::{append, faults, first};
pub(crate) use layers::{convolution, group_norm, product, softmax};
pub use operations::{filter, inverse_cdf};
pub(crate) use operations::{heads, norm};
pub use uses::uses;
