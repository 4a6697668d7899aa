use nextscale_core::{Grid, Result};
use nextscale_macros::Settings;

use crate::{Operator, Prior, check_grids};

/// Control: nothing.
///
/// It predicts zero logits: SSG with it only sharpens its base by 1 + β.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Settings)]
pub struct Zero;

impl Prior for Zero {
    fn operator(&self, from: Grid, to: Grid) -> Result<Operator> {
        check_grids(from, to)?;
        Ok(Operator::Separable { from, to, terms: Vec::new() })
    }
}
