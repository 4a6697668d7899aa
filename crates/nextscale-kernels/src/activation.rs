//! The activation after a convolution.

/// The activation after a convolution. NaN stays NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
}

impl Activation {
    /// In place.
    #[inline(always)]
    pub(crate) fn apply(self, values: &mut [f32]) {
        let top = match self {
            Self::Identity => return,
            Self::Relu => f32::INFINITY,
            Self::Relu6 => 6.0,
        };
        for value in values {
            // Not `clamp` or `max`: they would hide NaN, the sign of a broken network.
            let above = if *value < 0.0 { 0.0 } else { *value };
            *value = if above > top { top } else { above };
        }
    }
}
