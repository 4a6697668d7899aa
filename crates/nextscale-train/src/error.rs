use std::path::{Path, PathBuf};

/// What can go wrong in training, in words that name the thing and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model or a shape refused.
    #[error(transparent)]
    Core(nextscale_core::Error),
    /// A setting is outside what it may be.
    #[error("{field}: {message}")]
    Setting {
        /// The setting's name as a user types it.
        field: String,
        /// What is wrong, and what is allowed.
        message: String,
    },
    /// A config could not be read.
    #[error("{0}")]
    Config(String),
    /// A data set is missing or not what it should be.
    #[error("{}: {message}", .path.display())]
    Data {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and what is expected there.
        message: String,
    },
    /// A checkpoint does not belong to this run, or is damaged.
    #[error("checkpoint {}: {message}", .path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A file of a data set gives no image.
    #[error(transparent)]
    Image(#[from] nextscale_files::ImageFileError),
    /// A file could not be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Someone asked to stop while images were tokenised; those that are done are kept.
    #[error("stopped after tokenising {done} of {total} images")]
    Stopped {
        /// Images done.
        done: usize,
        /// All images.
        total: usize,
    },
    /// A sample could not be made.
    #[error(transparent)]
    Generate(#[from] nextscale_generate::Error),
    /// A task gave something else than it had said.
    #[error("the task names {named} parts of its loss, and gave {given} in step {step}")]
    Parts {
        /// Columns that it names.
        named: usize,
        /// Parts that it gave.
        given: usize,
        /// The step, from 0.
        step: u64,
    },
    /// The loss left the numbers.
    #[error(
        "the loss is {loss} at step {step}; lower `learning_rate` or set `clip`, and resume from the last checkpoint"
    )]
    Diverged {
        /// The step, from 0.
        step: u64,
        /// The loss.
        loss: f64,
    },
}

impl From<nextscale_core::Error> for Error {
    /// What is wrong with a setting stays that.
    fn from(error: nextscale_core::Error) -> Self {
        match error {
            nextscale_core::Error::Setting { field, message } => Self::Setting { field, message },
            nextscale_core::Error::Schedule(message) => Self::setting("scales", message),
            other => Self::Core(other),
        }
    }
}

impl Error {
    /// Whether the fault is in what the user asked for, rather than in the run.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Setting { .. } | Self::Config(_) | Self::Data { .. } | Self::Checkpoint { .. })
    }

    /// A setting error for `field`.
    pub fn setting(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Setting { field: field.into(), message: message.into() }
    }

    /// A data error at `path`.
    pub fn data(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self::Data { path: path.as_ref().to_owned(), message: message.into() }
    }

    /// A checkpoint error at `path`.
    pub fn checkpoint(path: impl AsRef<Path>, message: impl Into<String>) -> Self {
        Self::Checkpoint { path: path.as_ref().to_owned(), message: message.into() }
    }

    /// Wraps an input or output error at `path`, for `map_err`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { path, source }
    }
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
