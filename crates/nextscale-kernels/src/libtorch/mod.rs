//! LibTorch's own operations in place of what burn's interface composes of several: one pass over memory in
//! place of three to a hundred.
//!
//! Where there is none the functions say so, and their callers compose burn's operations: on other backends,
//! inside autodiff, and if the crate is built without its feature `tch`.

#[cfg(not(feature = "tch"))]
mod absent;
#[cfg(feature = "tch")]
mod present;

#[cfg(not(feature = "tch"))]
use absent as operations;
#[cfg(feature = "tch")]
use present as operations;

pub use operations::filter;
pub(crate) use operations::{attention, gated_residual, gelu_tanh, group_norm, layer_norm, norm, silu, unit};
