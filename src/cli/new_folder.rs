//! Output folders that a command makes in one step.

use std::io::ErrorKind;
use std::path::Path;

use super::Failure;
use crate::files::WholeFolder;

/// A folder to fill, which appears as `path` when it is kept. An existing one must be empty.
pub fn new_folder(path: &Path) -> Result<WholeFolder, Failure> {
    WholeFolder::new(path).map_err(|error| {
        let path = path.display();
        match error.kind() {
            ErrorKind::AlreadyExists => {
                Failure::Usage(miette::miette!("{path} {error}; choose another folder"))
            }
            _ => Failure::Run(miette::miette!("cannot write {path}: {error}")),
        }
    })
}
