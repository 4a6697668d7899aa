use std::path::{Path, PathBuf};

/// Errors of training. Messages name what is wrong and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model refused its input, or a shape is wrong.
    #[error(transparent)]
    Core(nextscale_core::Error),
    /// A setting is outside its range.
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
    /// A data set is missing or not what was expected.
    #[error("{}", nextscale_files::sentence(.path, .message))]
    Data {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and what was expected.
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
    /// A file of a data set is not a usable image.
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
    /// A stop was requested during tokenising; finished images are kept.
    #[error("stopped after tokenising {done} of {total} images")]
    Stopped {
        /// Images done.
        done: usize,
        /// All images.
        total: usize,
    },
    /// A sample could not be generated.
    #[error(transparent)]
    Generate(#[from] nextscale_generate::Error),
    /// A task returned something other than announced.
    #[error("the task names {named} parts of its loss, and gave {given} in step {step}")]
    Parts {
        /// Columns that it announced.
        named: usize,
        /// Parts that it returned.
        given: usize,
        /// The step, from 0.
        step: u64,
    },
    /// The loss is not finite.
    #[error(
        "the loss is {loss} at step {step}; lower `learning_rate` or set `clip`, and resume from the last checkpoint"
    )]
    Diverged {
        /// The step, from 0.
        step: u64,
        /// The loss.
        loss: f64,
    },
    /// An update or an evaluation gave numbers that are not finite.
    #[error(
        "{what} is not finite after step {step}: the training diverged; lower `learning_rate` or set `clip`, and resume from the \
         last checkpoint"
    )]
    NotFinite {
        /// Steps done.
        step: u64,
        /// What is not, as in "the norm of the gradients".
        what: String,
    },
}

impl From<nextscale_core::Error> for Error {
    /// A setting error stays a setting error.
    fn from(error: nextscale_core::Error) -> Self {
        match error {
            nextscale_core::Error::Setting { field, message } => Self::Setting { field, message },
            nextscale_core::Error::Schedule(message) => Self::setting("scales", message),
            other => Self::Core(other),
        }
    }
}

impl Error {
    /// Whether the request is at fault rather than the run.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Setting { .. } | Self::Config(_) | Self::Data { .. } | Self::Checkpoint { .. })
            || self.missing().is_some()
    }

    /// The file or folder that is not there, if that is what is wrong.
    pub fn missing(&self) -> Option<&Path> {
        match self {
            Self::Io { path, source } => nextscale_files::missing(path, source),
            // A weight file or a log; what is wrong with a data set's folder is in the message.
            Self::Data { path, .. } if path.extension().is_some() && !path.exists() => Some(path),
            Self::Image(error) => error.missing(),
            _ => None,
        }
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

    /// Wraps an I/O error at `path`, for `map_err`.
    pub fn io(path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { path, source }
    }
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
