//! Kernels for devices that cubecl has a compiler for: one launch in place of what takes burn's operations
//! many.
//!
//! A cube, cubecl's word for a workgroup, takes one row. Its units add up in a fixed order and no number is
//! added atomically, so that results do not depend on how a device schedules its work.
//!
//! Where there is no kernel the functions say so, and their callers compose burn's operations: on other
//! backends, for other types than f32, inside autodiff, and if the crate is built without its feature
//! `device`.

#[cfg(not(feature = "device"))]
mod absent;
#[cfg(feature = "device")]
mod append;
#[cfg(feature = "device")]
mod cube;
#[cfg(feature = "device")]
mod faults;
#[cfg(feature = "device")]
mod filter;
#[cfg(feature = "device")]
mod group_norm;
#[cfg(feature = "device")]
mod heads;
#[cfg(feature = "device")]
mod inverse_cdf;
#[cfg(feature = "device")]
mod key;
#[cfg(feature = "device")]
mod layers;
#[cfg(feature = "device")]
mod norm;
#[cfg(feature = "device")]
mod operations;
#[cfg(feature = "device")]
mod softmax;
#[cfg(feature = "device")]
mod weight;

#[cfg(not(feature = "device"))]
pub use absent::{append, faults, filter, first, inverse_cdf};
#[cfg(not(feature = "device"))]
pub(crate) use absent::{group_norm, heads, norm, softmax};
#[cfg(feature = "device")]
pub use layers::{append, faults, first};
#[cfg(feature = "device")]
pub(crate) use layers::{group_norm, softmax};
#[cfg(feature = "device")]
pub use operations::{filter, inverse_cdf};
#[cfg(feature = "device")]
pub(crate) use operations::{heads, norm};

/// Which classes of a row of logits [`filter()`] keeps; the rules apply in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Keep {
    /// Keeps as many of the largest logits, and all ties with the last of them. More than 0 and fewer than
    /// there are classes.
    pub top_k: Option<usize>,
    /// Removes the least likely classes whose cumulative probability, summed from the least likely, is at most
    /// this, from 0 to 1; equal ones in the order of classes. The largest logit (the last among equals) stays.
    pub tail: Option<f32>,
    /// Removes logits further than this below the largest.
    pub margin: Option<f32>,
}
