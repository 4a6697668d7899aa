use nextscale_core::{Grid, Result, resample};
use serde::{Deserialize, Serialize};

use crate::{Operator, Prior, check_grids};

/// Bilinear interpolation between half-pixel centres.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bilinear;

impl Prior for Bilinear {
    fn operator(&self, from: Grid, to: Grid) -> Result<Operator> {
        check_grids(from, to)?;
        Ok(Operator::interpolation(from, to, resample::bilinear))
    }
}
