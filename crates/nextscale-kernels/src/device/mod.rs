//! Kernels for devices that cubecl has a compiler for: one launch in place of what takes burn's operations
//! many.
//!
//! A cube, cubecl's word for a workgroup, takes one row. Its units add up in a fixed order and no number is
//! added atomically, so that results do not depend on how a device schedules its work.
//!
//! Numbers are read and written as f32, f16 or bf16; in between everything is f32.
//!
//! Where there is no kernel the functions say so, and their callers compose burn's operations: on other
//! backends, for other types, inside autodiff, and if the crate is built without its feature `device`.

#[cfg(not(feature = "device"))]
mod absent;
#[cfg(feature = "device")]
mod present;

#[cfg(not(feature = "device"))]
use absent as kernels;
#[cfg(feature = "device")]
use present as kernels;

pub use kernels::{append, faults, filter, first, inverse_cdf};
pub(crate) use kernels::{convolution, group_norm, heads, norm, product, softmax};

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
