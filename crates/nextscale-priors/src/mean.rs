use nextscale_core::{Grid, Result};
use serde::{Deserialize, Serialize};

use crate::{Operator, Prior, check_grids};

/// Every position takes each channel's mean over the coarse grid: a control without any spatial detail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mean;

impl Prior for Mean {
    fn operator(&self, from: Grid, to: Grid) -> Result<Operator> {
        check_grids(from, to)?;
        Ok(Operator::interpolation(from, to, |n, m| vec![1.0 / n as f64; m * n]))
    }
}
