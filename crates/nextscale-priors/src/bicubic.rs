use nextscale_core::{Grid, Result, resample};
use nextscale_macros::Settings;

use crate::{Operator, Prior, check_grids};

/// Bicubic interpolation, A = -0.75.
///
/// Between half-pixel centres; it overshoots at steep edges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Settings)]
pub struct Bicubic;

impl Prior for Bicubic {
    fn operator(&self, from: Grid, to: Grid) -> Result<Operator> {
        check_grids(from, to)?;
        Ok(Operator::interpolation(from, to, resample::bicubic))
    }
}
