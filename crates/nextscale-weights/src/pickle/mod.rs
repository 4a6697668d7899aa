//! Pickles as data, beside their reader: what it passes over and must not, and what it refuses and need not.

mod lenient;
mod negated;
mod tokens;

pub(crate) use lenient::{Stored, tensors};
pub(crate) use negated::negated;
