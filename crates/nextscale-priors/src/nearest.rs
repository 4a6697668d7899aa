use nextscale_core::{Grid, Result, resample};
use nextscale_macros::Settings;

use crate::{Operator, Prior, check_grids};

/// Nearest-neighbour interpolation.
///
/// Every position takes the logits of the coarse position it lies in, `floor(i · h / H)`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Settings)]
pub struct Nearest;

impl Prior for Nearest {
    fn operator(&self, from: Grid, to: Grid) -> Result<Operator> {
        check_grids(from, to)?;
        Ok(Operator::interpolation(from, to, resample::nearest))
    }
}
