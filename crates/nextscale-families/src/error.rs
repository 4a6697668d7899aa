use std::path::{Path, PathBuf};

use nextscale_weights::LoadError;

/// What can go wrong between a config's `model` and a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A part of the model refused what it was given.
    #[error(transparent)]
    Core(#[from] nextscale_core::Error),
    /// The config is wrong; carries the place in the text.
    #[error(transparent)]
    Config(#[from] nextscale_config::ConfigError),
    /// A checkpoint could not be read.
    #[error(transparent)]
    Weights(#[from] nextscale_weights::Error),
    /// The parts do not fit each other.
    #[error(transparent)]
    Generate(#[from] nextscale_generate::Error),
    /// Files that are no model together, or sizes of which none can be made.
    #[error("{0}")]
    Unfit(String),
    /// A file could not be read.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: "read", "find".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Weights(error) => Self::Weights(error),
            LoadError::Settings(error) => Self::Core(error),
        }
    }
}

impl Error {
    /// An input/output error of `path`.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
