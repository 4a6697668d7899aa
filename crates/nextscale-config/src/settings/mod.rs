//! Things that configs name, and their settings, which are said once: in the thing's own struct.
//!
//! A rule, a prior, a sampler or whatever else is a [`Kind`] implements [`Settings`], which `#[derive(Settings)]` writes
//! (`nextscale-macros`). [`Names`] holds an [`Entry`] a name, reads a node of a config as the thing that it names, nested ones
//! included, and gives with it the resolved config, every default filled in. What people and editors see, [`Description`] and
//! [`schema`], comes from the same place.

mod description;
mod measured;
mod names;
mod reader;
pub mod schema;

pub use description::{Description, Fallback, Setting};
pub use measured::Measured;
pub use names::{Built, Entry, Kind, Names};
pub use reader::Reader;
pub use schemars;

pub use crate::Result;
use crate::{Node, Value};

/// A thing that configs name and give settings. `#[derive(Settings)]` writes it.
pub trait Settings: Sized {
    /// Its name, its settings, and what people are told of them.
    fn description() -> Description;

    /// Builds it from the settings after its name.
    ///
    /// # Errors
    /// An unknown setting, one that is missing, or one of a wrong type or value, with the place in the config.
    fn read(reader: &mut Reader<'_>) -> Result<Self>;

    /// One to try, for the conformance kit, where the example of the description cannot be built: it needs a file, say.
    fn sample() -> Option<Self> {
        None
    }
}

/// A node of a value that stands in no text.
///
/// # Errors
/// None that this crate knows of.
pub fn plain(value: Value) -> Result<Node> {
    Ok(Node { value, ..Node::from_serialize(&())? })
}

/// A bare name, as of a thing without settings.
///
/// # Errors
/// As [`plain`].
pub fn named(name: &str) -> Result<Node> {
    plain(Value::Ident(name.into()))
}
