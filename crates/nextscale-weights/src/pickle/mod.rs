//! Pickles as data: flipped signs, which the `.pth` reader wrongly ignores, and objects beside the
//! tensors, which it needlessly refuses.

mod lenient;
mod negated;
mod tokens;

pub(crate) use lenient::{Stored, tensors};
pub(crate) use negated::negated;
