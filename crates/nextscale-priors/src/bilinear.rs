use nextscale_core::{Grid, Result, resample};
use nextscale_macros::Settings;

use crate::{Operator, Prior, check_grids};

/// Bilinear interpolation.
///
/// Between half-pixel centres.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Settings)]
pub struct Bilinear;

impl Prior for Bilinear {
    fn operator(&self, from: Grid, to: Grid) -> Result<Operator> {
        check_grids(from, to)?;
        Ok(Operator::interpolation(from, to, resample::bilinear))
    }
}
