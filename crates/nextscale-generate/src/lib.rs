//! Conditions to images: the loop over scales, samplers, observers, editing and corrupted prefixes.
//!
//! Training draws its samples through the same [`Generator`] as runs.

mod corrupt;
pub mod edit;
mod error;
mod finite;
mod generator;
mod host;
mod in_lanes;
mod model;
pub mod observe;
pub mod pictures;
mod running;
pub mod sampler;
mod stop;
mod transfer;

pub use corrupt::corrupt;
pub use error::{Error, Result};
pub use generator::{Batch, Generator};
pub use host::{Floats, floats, integers};
pub use model::{Guide, Model};
pub use stop::Stop;
pub use transfer::Copies;
