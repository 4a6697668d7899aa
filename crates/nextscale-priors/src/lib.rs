//! Prior constructions: what the previous scale predicts for the next.
//!
//! A [`Prior`] holds only settings and makes an [`Operator`] for a pair of grids, on the host. The loop
//! applies its [`DeviceOperator`].

pub mod averages;
mod bicubic;
mod bilinear;
pub mod conformance;
pub mod dct;
mod device;
mod dse;
mod marginal;
mod matrix;
mod mean;
mod nearest;
mod operator;
mod term;
mod zero;

pub use bicubic::Bicubic;
pub use bilinear::Bilinear;
pub use device::DeviceOperator;
pub use dse::{Dse, Interpolation, LowBand};
pub use marginal::Marginal;
pub use mean::Mean;
pub use nearest::Nearest;
pub use operator::Operator;
pub use term::{PriorFunction, Term};
pub use zero::Zero;

use std::any::Any;

use nextscale_config::settings::Kind;
use nextscale_core::{Alphabet, Error, Grid, Result, ScaleSchedule};

use conformance::PriorClaims;

/// A way of predicting the logits on a fine grid from those on a coarse one.
///
/// A prior holds only settings. It makes one [`Operator`] per pair of grids, once, on the host.
pub trait Prior: Any + std::fmt::Debug + Send + Sync {
    /// The operator from `from` to `to`, which is at least as large on both axes.
    ///
    /// # Errors
    /// If the prior is not defined between these grids.
    fn operator(&self, from: Grid, to: Grid) -> Result<Operator>;

    /// Whether the prior can be used on all of the scales and on logits of this alphabet. Called once, before
    /// anything runs.
    ///
    /// # Errors
    /// If it cannot. Most priors can be used everywhere.
    fn check(&self, schedule: &ScaleSchedule, alphabet: Alphabet) -> Result<()> {
        let _ = (schedule, alphabet);
        Ok(())
    }

    /// What the prior promises beyond what every prior must, and the grids on which it can be tried, for the
    /// [conformance kit](conformance).
    fn claims(&self) -> PriorClaims {
        PriorClaims::of(self)
    }
}

impl Kind for dyn Prior {
    const NAME: &'static str = "prior";
    const SCHEMA: &'static str = "Prior";
}

/// Refuses grids that are empty or that shrink on an axis.
///
/// # Errors
/// [`Error::Unsupported`] with both grids.
pub fn check_grids(from: Grid, to: Grid) -> Result<()> {
    if from.positions() == 0 || to.height < from.height || to.width < from.width {
        return Err(Error::Unsupported(format!(
            "a prior from {from} to {to}: the grids must not be empty or shrink on an axis; \
             list the scales coarse to fine"
        )));
    }
    Ok(())
}
