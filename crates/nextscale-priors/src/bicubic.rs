use nextscale_core::{Grid, Result, resample};
use serde::{Deserialize, Serialize};

use crate::{Operator, Prior, check_grids};

/// Bicubic interpolation between half-pixel centres, A = -0.75; it overshoots at steep edges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bicubic;

impl Prior for Bicubic {
    fn operator(&self, from: Grid, to: Grid) -> Result<Operator> {
        check_grids(from, to)?;
        Ok(Operator::interpolation(from, to, resample::bicubic))
    }
}
