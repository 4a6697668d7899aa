use burn::tensor::Device;
use nextscale_core::Grid;

use crate::{DeviceOperator, PriorFunction, Term, matrix};

/// A map from `[batch, h·w, channels]` to `[batch, H·W, channels]`, on the host.
#[derive(Clone)]
pub enum Operator {
    /// A short sum of separable terms.
    Separable {
        /// h × w.
        from: Grid,
        /// H × W.
        to: Grid,
        /// The terms. Without any it is the zero map.
        terms: Vec<Term>,
    },
    /// Any other map.
    Function(PriorFunction),
}

impl Operator {
    /// The same 1-D `resample(from, to)` matrix, row-major `[to, from]`, along both axes.
    pub fn interpolation(from: Grid, to: Grid, resample: impl Fn(usize, usize) -> Vec<f64>) -> Self {
        let rows = resample(from.height, to.height);
        let columns = resample(from.width, to.width);
        Self::Separable { from, to, terms: vec![Term { coefficient: 1.0, rows, columns }] }
    }

    /// The identity.
    pub fn identity(grid: Grid) -> Self {
        Self::interpolation(grid, grid, |n, _| matrix::identity(n))
    }

    /// The operator's matrices in f32 on `device`, in the form that is cheapest to apply.
    ///
    /// Terms whose matrices do not fit the grids give an error when the operator is applied.
    pub fn to_device(&self, device: &Device) -> DeviceOperator {
        match self {
            Self::Separable { from, to, terms } => DeviceOperator::separable(*from, *to, terms, device),
            Self::Function(function) => DeviceOperator::function(function.clone()),
        }
    }
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Separable { from, to, terms } => {
                write!(f, "Operator({from} to {to}, {} terms)", terms.len())
            }
            Self::Function(_) => f.write_str("Operator(function)"),
        }
    }
}
