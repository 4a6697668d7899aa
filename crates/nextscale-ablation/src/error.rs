use std::path::{Path, PathBuf};

use nextscale_config::ConfigError;

/// Errors between an ablation file and its report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The pipeline refused a cell's config, or failed while it generated images.
    #[error(transparent)]
    Pipeline(#[from] nextscale_pipeline::Error),
    /// The ablation file is wrong; holds the place in the text.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Features or a distance could not be computed.
    #[error(transparent)]
    Metrics(#[from] nextscale_metrics::Error),
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted: "write", "create", …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file in the output folder is not what was written there.
    #[error("{} {problem}; delete it and repeat the ablation, which recreates what is missing", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The output folder cannot be used.
    #[error("{0}")]
    Folder(String),
    /// Things do not fit each other.
    #[error("{0}")]
    Usage(String),
    /// A worker cannot choose settings before the other workers have made their share of the tuning.
    #[error(
        "{missing} of {of} chunks of tuning images are other shards' and not there yet; start this shard again when \
         they are: its own are kept"
    )]
    Waiting {
        /// How many chunks are missing.
        missing: usize,
        /// Of how many.
        of: usize,
    },
    /// A measure cannot be taken.
    #[error("cannot take the measure {measure}: {message}")]
    Measure {
        /// Its name.
        measure: String,
        /// Why, and the remedy.
        message: String,
    },
}

impl From<nextscale_generate::Error> for Error {
    fn from(error: nextscale_generate::Error) -> Self {
        Self::Pipeline(error.into())
    }
}

impl From<nextscale_shards::ShardError> for Error {
    fn from(error: nextscale_shards::ShardError) -> Self {
        Self::Pipeline(error.into())
    }
}

impl Error {
    /// An I/O error of `path`.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// A file that is not what was written there.
    pub fn damaged(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.as_ref().to_owned(), problem: problem.into() }
    }

    /// A measure that cannot be taken.
    pub fn measure(measure: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Measure { measure: measure.into(), message: message.into() }
    }

    /// The file or folder that is not there, if that is what is wrong.
    pub fn missing(&self) -> Option<&Path> {
        match self {
            Self::Pipeline(error) => error.missing(),
            Self::Metrics(error) => error.missing(),
            Self::Io { action: "read", path, source } => nextscale_files::missing(path, source),
            _ => None,
        }
    }

    /// Whether the request is at fault (exit code 2) rather than the run (exit code 1).
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Pipeline(error) => error.is_usage(),
            Self::Metrics(error) => error.is_usage(),
            Self::Config(_) | Self::Folder(_) | Self::Usage(_) | Self::Measure { .. } => true,
            Self::Io { .. } => self.missing().is_some(),
            Self::Damaged { .. } | Self::Waiting { .. } => false,
        }
    }

    /// Whether a stop was requested.
    pub fn is_stop(&self) -> bool {
        matches!(self, Self::Pipeline(nextscale_pipeline::Error::Stopped))
    }
}

impl From<nextscale_core::Error> for Error {
    fn from(error: nextscale_core::Error) -> Self {
        Self::Pipeline(error.into())
    }
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
