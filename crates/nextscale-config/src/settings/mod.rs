//! What configs can name, with its settings, which are stated once: in its own struct.
//!
//! A rule, a prior, a sampler or anything else that is a [`Kind`] implements [`Settings`], which
//! `#[derive(Settings)]` writes (`nextscale-macros`). [`Names`] holds one [`Entry`] per name for each kind.
//! It builds what a node of a config names, including everything nested, and returns with it the resolved
//! config, with every default filled in. What people and editors see, [`Description`] and [`schema`], comes
//! from the same place.

mod description;
mod measured;
mod names;
mod reader;
pub mod schema;

pub use description::{Description, Fallback, Form, Setting};
pub use measured::Measured;
pub use names::{Built, Entry, Kind, Names};
pub use reader::Reader;
pub use schemars;

pub use crate::Result;
use crate::{Node, Value};

/// Something that configs can name and give settings. `#[derive(Settings)]` writes the implementation.
pub trait Settings: Sized {
    /// Its name, its settings, and their descriptions.
    fn description() -> Description;

    /// Builds it from the settings after its name.
    ///
    /// # Errors
    /// An unknown or missing setting, or one of the wrong type or value, with its place in the config.
    fn read(reader: &mut Reader<'_>) -> Result<Self>;

    /// An instance for the conformance kit, if the description's example cannot be built, for instance
    /// because it needs a file.
    fn sample() -> Option<Self> {
        None
    }
}

/// A node of a value that is not in any text.
///
/// # Errors
/// No known case.
pub fn plain(value: Value) -> Result<Node> {
    Ok(Node { value, ..Node::from_serialize(&())? })
}

/// A bare name, without settings.
///
/// # Errors
/// As [`plain`].
pub fn named(name: &str) -> Result<Node> {
    plain(Value::Ident(name.into()))
}
