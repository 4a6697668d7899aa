use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use nextscale_core::{Grid, Result};

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

/// A map from `[batch, h·w, channels]` to `[batch, H·W, channels]`, on the host.
#[derive(Clone)]
pub enum Operator {
    /// A short sum of separable terms.
    Separable {
        /// h × w.
        from: Grid,
        /// H × W.
        to: Grid,
        /// The terms; none is the zero map.
        terms: Vec<Term>,
    },
    /// Any other map.
    Function(PriorFunction),
}

impl Operator {
    /// The operator's matrices in f32 on `device`, in the form that is cheapest to apply.
    pub fn to_device(&self, device: &Device) -> DeviceOperator {
        let _ = device;
        todo!()
    }
}

/// An [`Operator`] whose matrices lie on a device.
#[derive(Clone)]
pub struct DeviceOperator {}

impl DeviceOperator {
    /// Applies it to `x` `[batch, h·w, channels]`; the result is `[batch, H·W, channels]`.
    ///
    /// # Errors
    /// If `x` does not lie on the operator's coarse grid.
    pub fn apply(&self, x: &Tensor<3>) -> Result<Tensor<3>> {
        let _ = x;
        todo!()
    }
}
