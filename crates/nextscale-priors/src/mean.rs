use nextscale_core::{Grid, Result};
use nextscale_macros::Settings;

use crate::{Operator, Prior, check_grids};

/// Control: each channel's mean over the coarse grid.
///
/// Every position takes it: there is no spatial detail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Settings)]
pub struct Mean;

impl Prior for Mean {
    fn operator(&self, from: Grid, to: Grid) -> Result<Operator> {
        check_grids(from, to)?;
        Ok(Operator::interpolation(from, to, |n, m| vec![1.0 / n as f64; m * n]))
    }
}
