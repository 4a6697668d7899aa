//! Model families: how the files of each are recognised, opened, described, conditioned and made at random.
//!
//! A family is a [`ModelFamily`], which a registry holds by its name; what stands behind `model:` in a config is a
//! [`ModelSource`], and its headers, once read, are an [`OpenModel`]. Nothing above this crate names a family.

mod error;
mod family;
mod open;
pub mod shipped;
pub mod var;

pub use error::{Error, Result};
pub use family::{ModelFamily, ModelSource};
pub use nextscale_weights::fingerprint;
pub use open::{LoadOptions, OpenModel, Takes};
pub use shipped::Shipped;
pub use var::VarFamily;
