use std::sync::Arc;

use burn::tensor::Tensor;
use nextscale_core::{Error, Grid, Result};

use crate::matrix;

/// One separable term, c · R x Cᵀ: matrices in f64, row-major.
#[derive(Debug, Clone)]
pub struct Term {
    /// The coefficient c.
    pub coefficient: f64,
    /// R `[H, h]`.
    pub rows: Vec<f64>,
    /// C `[W, w]`.
    pub columns: Vec<f64>,
}

/// A function `[batch, h·w, channels]` → `[batch, H·W, channels]`, for priors that are not linear.
pub type PriorFunction = Arc<dyn Fn(Tensor<3>) -> Result<Tensor<3>> + Send + Sync>;

impl Term {
    /// Whether this is the identity of a grid.
    pub(crate) fn is_identity(&self, from: Grid, to: Grid) -> bool {
        from == to
            && self.coefficient == 1.0
            && self.rows == matrix::identity(from.height)
            && self.columns == matrix::identity(from.width)
    }

    /// # Errors
    /// [`Error::Shape`] if a matrix does not have `[to, from]` values.
    pub(crate) fn check(&self, from: Grid, to: Grid) -> Result<()> {
        let axes =
            [("rows", &self.rows, to.height, from.height), ("columns", &self.columns, to.width, from.width)];
        for (axis, matrix, m, n) in axes {
            if matrix.len() != m * n {
                let what = format!("the {axis} matrix of a prior's term from {from} to {to}");
                return Err(Error::shape(what, format!("[{m}, {n}], {} values", m * n), &[matrix.len()]));
            }
        }
        Ok(())
    }
}
