//! Prior constructions: what the previous scale predicts for the next.

mod operator;
pub mod resample;

pub use operator::{DeviceOperator, Operator, Term};

use nextscale_core::{Grid, Result};

/// A way of predicting the logits on a fine grid from those on a coarse one.
///
/// A prior is settings alone; it makes an [`Operator`] a pair of grids, once, on the host.
pub trait Prior: std::fmt::Debug + Send + Sync {
    /// The operator from `from` to `to`, which is at least as large on both axes.
    ///
    /// # Errors
    /// If the prior is not defined between these grids.
    fn operator(&self, from: Grid, to: Grid) -> Result<Operator>;
}
