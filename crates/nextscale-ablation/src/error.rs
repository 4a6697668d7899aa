use std::path::{Path, PathBuf};

use nextscale_config::ConfigError;

/// What can go wrong between an ablation file and its report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The pipeline refused a cell's config, or failed while it made images.
    #[error(transparent)]
    Pipeline(#[from] nextscale_pipeline::Error),
    /// The ablation file is wrong; carries the place in the text.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Features or a distance could not be had.
    #[error(transparent)]
    Metrics(#[from] nextscale_metrics::Error),
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: "write", "create", …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file in the out folder is not what was written there.
    #[error("{} {problem}; delete it and run the ablation again: what is missing will be made anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The out folder cannot be used.
    #[error("{0}")]
    Folder(String),
    /// Things do not fit each other.
    #[error("{0}")]
    Usage(String),
    /// A measure cannot be taken.
    #[error("cannot take the measure {measure}: {message}")]
    Measure {
        /// Its name.
        measure: String,
        /// Why, and what helps.
        message: String,
    },
}

impl From<nextscale_generate::Error> for Error {
    fn from(error: nextscale_generate::Error) -> Self {
        Self::Pipeline(error.into())
    }
}

impl Error {
    /// An input/output error of `path`.
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

    /// Whether the fault is in what the user asked for (exit code 2), rather than in the run (exit code 1).
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Pipeline(error) => error.is_usage(),
            Self::Metrics(error) => error.is_usage(),
            Self::Config(_) | Self::Folder(_) | Self::Usage(_) | Self::Measure { .. } => true,
            Self::Io { .. } | Self::Damaged { .. } => false,
        }
    }

    /// Whether someone asked to stop.
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
