//! What a step reports.

use std::fmt;

use burn::tensor::Tensor;

/// The loss of a micro-batch or a step and its parts, averaged over images.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// The loss, as in [`Loss::scalar`](crate::task::Loss::scalar).
    pub loss: f32,
    /// Its parts, in the order of [`Task::columns`](crate::task::Task::columns).
    pub parts: Vec<f32>,
}

/// What makes numbers of the values that were read.
type Reading = Box<dyn FnOnce(&[f32]) -> Numbers + Send>;

/// The numbers of a micro-batch, not read yet.
pub struct Unread {
    /// None if the numbers depend on no tensor.
    values: Option<Tensor<1>>,
    of: Reading,
}

impl Unread {
    /// Numbers that `of` makes of `values`, outside of autodiff, once these have been read.
    pub fn new(values: Tensor<1>, of: impl FnOnce(&[f32]) -> Numbers + Send + 'static) -> Self {
        Self { values: Some(values), of: Box::new(of) }
    }

    /// What must be read.
    pub(crate) fn values(&self) -> Option<&Tensor<1>> {
        self.values.as_ref()
    }

    /// The numbers, from the values read.
    pub(crate) fn of(self, values: &[f32]) -> Numbers {
        (self.of)(values)
    }
}

impl From<Numbers> for Unread {
    fn from(numbers: Numbers) -> Self {
        Self { values: None, of: Box::new(|_| numbers) }
    }
}

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unread").field("values", &self.values).finish_non_exhaustive()
    }
}
