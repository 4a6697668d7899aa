//! Model families: how the files of each are recognised, opened, described, conditioned, created at random
//! and trained.
//!
//! A family is a [`ModelFamily`], which a registry holds by name. The value of `model:` in a config is a
//! [`ModelSource`] and, once its headers have been read, an [`OpenModel`]; in a training's config it names an
//! [`Architecture`]. Nothing above this crate names a family.

mod embedded;
mod error;
mod family;
pub mod hart;
pub mod infinity;
mod need;
mod open;
mod prompts;
mod published;
pub mod shipped;
pub mod training;
pub mod var;

pub use embedded::EmbeddedFile;
pub use error::{Error, Result};
pub use family::{ModelFamily, ModelSource};
pub use hart::HartFamily;
pub use infinity::InfinityFamily;
pub use nextscale_weights::fingerprint;
pub use open::{LoadOptions, ModelFacts, OpenModel, Retold, Takes};
pub use published::{Published, PublishedSize};
pub use shipped::Shipped;
pub use training::{Architecture, ModelPart};
pub use var::VarFamily;
