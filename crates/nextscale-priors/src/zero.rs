use nextscale_core::{Grid, Result};
use serde::{Deserialize, Serialize};

use crate::{Operator, Prior, check_grids};

/// Predicts zero logits: a control, with which SSG only sharpens its base by 1 + β.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zero;

impl Prior for Zero {
    fn operator(&self, from: Grid, to: Grid) -> Result<Operator> {
        check_grids(from, to)?;
        Ok(Operator::Separable { from, to, terms: Vec::new() })
    }
}
