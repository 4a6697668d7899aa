//! Reading a config, for every command that takes one. Other files in its place are recognised and named.

use std::path::Path;

use crate::config::{Document, Node};
use crate::files::FileKind;

use super::Failure;
use super::recognise::ConfigKind;

/// Reads a config of a kind.
pub fn read(path: &Path, wanted: ConfigKind) -> Result<Node, Failure> {
    let tree = read_any(path)?;
    match ConfigKind::of(&tree) {
        Some(found) if !same(found, wanted) => Err(Failure::Usage(miette::miette!(
            help = format!("run it with: {}", found.command(path)),
            "{} is {found}, not {wanted}",
            path.display()
        ))),
        _ => Ok(tree),
    }
}

/// Reads RON of any kind.
pub fn read_any(path: &Path) -> Result<Node, Failure> {
    let shown = path.display();
    if path.is_dir() {
        return Err(Failure::Usage(miette::miette!(
            help = format!("`nextscale inspect {shown}` says what it is"),
            "{shown} is a folder, not a config"
        )));
    }
    // Unreadable files are reported below.
    match FileKind::of(path) {
        Ok(FileKind::Text | FileKind::Empty | FileKind::Other) | Err(_) => {
            Document::read(path).map_err(Failure::usage)
        }
        Ok(kind) => Err(Failure::Usage(miette::miette!(
            help = format!("`nextscale inspect {shown}` says what is in it, and which command takes it"),
            "{shown} is {kind}, not a config"
        ))),
    }
}

/// A training checks its own fields, and other crates add trainings with other fields.
fn same(found: ConfigKind, wanted: ConfigKind) -> bool {
    found == wanted || matches!((found, wanted), (ConfigKind::Training(_), ConfigKind::Training(_)))
}
