use std::io;
use std::path::{Path, PathBuf};

/// A result whose error is [`ShardError`].
pub type Result<T> = std::result::Result<T, ShardError>;

/// Why a shard cannot be told, made or merged.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// The command line, the launcher's variables or the folder do not fit; the message has the remedy.
    #[error("{0}")]
    Refused(String),
    /// The system cannot read or write a file.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted: "write", "create", …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ShardError {
    /// For `map_err`: what was attempted, and on which file.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { action, path, source }
    }
}
