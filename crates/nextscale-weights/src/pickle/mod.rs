//! Pickles as data, for what their reader ignores and must not, and for what it refuses and need not.

mod lenient;
mod negated;
mod tokens;

pub(crate) use lenient::{Stored, tensors};
pub(crate) use negated::negated;
