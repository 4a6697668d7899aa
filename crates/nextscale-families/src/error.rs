use std::path::{Path, PathBuf};

use nextscale_files::run::RunError;
use nextscale_shards::ShardError;
use nextscale_weights::LoadError;

/// Errors between a config and its images, or in a training.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A component refused its input.
    #[error(transparent)]
    Core(#[from] nextscale_core::Error),
    /// The config is wrong; holds the place in the text.
    #[error(transparent)]
    Config(#[from] nextscale_config::ConfigError),
    /// A checkpoint could not be read.
    #[error(transparent)]
    Weights(#[from] nextscale_weights::Error),
    /// A text encoder or its vocabulary could not be read, or does not accept a prompt.
    #[error(transparent)]
    Text(nextscale_text::Error),
    /// No such device.
    #[error("{0}")]
    Device(String),
    /// A setting outside the config (such as a command-line option) is wrong, or things do not fit each
    /// other.
    #[error("{0}")]
    Usage(String),
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(source))]
    Io {
        /// What was attempted: "write", "create", …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that a config names by its address cannot be had; the message names it and the remedy.
    #[error("{message}")]
    Fetch {
        /// What is wrong.
        message: String,
        /// Whether the request is at fault, rather than the network, a server or the disk.
        usage: bool,
    },
    /// An image could not be read or written.
    #[error("cannot {action} the image {}: {message}", path.display())]
    Image {
        /// "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// An observer of a batch could not record what it saw.
    #[error(transparent)]
    Observer(Box<dyn std::error::Error + Send + Sync>),
    /// The run folder belongs to something else.
    #[error("{0}")]
    Folder(String),
    /// A training refused its config, or failed.
    #[error(transparent)]
    Train(#[from] nextscale_train::Error),
    /// A stop was requested. Finished work is kept.
    #[error("stopped; finished work is kept, and repeating the command resumes it")]
    Stopped,
}

impl From<nextscale_generate::Error> for Error {
    fn from(error: nextscale_generate::Error) -> Self {
        use nextscale_generate::Error as Generate;
        match error {
            Generate::Core(error) => Self::Core(error),
            Generate::Stopped => Self::Stopped,
            Generate::Unfit(message) => Self::Usage(message),
            // An observer of this crate fails with an error of this crate.
            Generate::Observer(error) => match error.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => Self::Observer(other),
            },
            other => Self::Device(other.to_string()),
        }
    }
}

impl From<Error> for nextscale_generate::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Core(error) => Self::Core(error),
            Error::Stopped => Self::Stopped,
            other => Self::observer(other),
        }
    }
}

impl From<RunError> for Error {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Refused(message) => Self::Folder(message),
            RunError::Io { action, path, source } => Self::Io { action, path, source },
        }
    }
}

impl From<ShardError> for Error {
    fn from(error: ShardError) -> Self {
        match error {
            ShardError::Refused(message) => Self::Folder(message),
            ShardError::Io { action, path, source } => Self::Io { action, path, source },
        }
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Weights(error) => Self::Weights(error),
            LoadError::Settings(error) => Self::Core(error),
        }
    }
}

impl From<nextscale_priors::averages::AveragesError> for Error {
    fn from(error: nextscale_priors::averages::AveragesError) -> Self {
        use nextscale_priors::averages::AveragesError;
        match error {
            AveragesError::Weights(error) => Self::Weights(error),
            error @ AveragesError::Other { .. } => Self::Usage(error.to_string()),
        }
    }
}

impl From<nextscale_text::Error> for Error {
    fn from(error: nextscale_text::Error) -> Self {
        use nextscale_text::Error as Text;
        match error {
            Text::Weights(error) => Self::Weights(error),
            Text::Core(error) => Self::Core(error),
            Text::Io { action, path, source } => Self::Io { action, path, source },
            other => Self::Text(other),
        }
    }
}

impl Error {
    /// An I/O error of `path`.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// The file or folder that is not there, if that is what is wrong.
    pub fn missing(&self) -> Option<&Path> {
        match self {
            Self::Io { action: "read" | "open" | "find", path, source } => {
                nextscale_files::missing(path, source)
            }
            Self::Weights(error) => error.missing(),
            Self::Train(error) => error.missing(),
            _ => None,
        }
    }

    /// Whether the request is at fault (exit code 2) rather than the run (exit code 1).
    pub fn is_usage(&self) -> bool {
        use nextscale_core::Error as Core;
        match self {
            Self::Core(error) => {
                matches!(error, Core::Setting { .. } | Core::Schedule(_) | Core::Unsupported(_))
            }
            Self::Config(_) | Self::Device(_) | Self::Usage(_) | Self::Folder(_) | Self::Text(_) => true,
            Self::Train(error) => error.is_usage(),
            Self::Fetch { usage, .. } => *usage,
            Self::Weights(_) | Self::Io { .. } => self.missing().is_some(),
            Self::Image { .. } | Self::Observer(_) | Self::Stopped => false,
        }
    }
}

/// A remedy for common faults of a disk.
fn advice(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "; free some space and run the same command again"
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            "; choose a folder that you may write to with --out"
        }
        _ => "",
    }
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    #[test]
    fn faults_of_a_disk_come_with_advice() {
        let full = Error::io("write", "a.png")(ErrorKind::StorageFull.into()).to_string();
        assert!(full.starts_with("cannot write a.png") && full.contains("free some space"), "{full}");
        let closed = Error::io("create", "out")(ErrorKind::ReadOnlyFilesystem.into()).to_string();
        assert!(closed.contains("--out"), "{closed}");
    }

    #[test]
    fn a_wrong_setting_is_usage_and_a_fault_of_the_run_is_not() {
        assert!(Error::from(nextscale_core::Error::setting("top_k", "no")).is_usage());
        assert!(!Error::Stopped.is_usage());
        let missing = Error::io("read", "a.pth")(ErrorKind::NotFound.into());
        assert!(missing.is_usage() && missing.missing() == Some(Path::new("a.pth")));
        assert!(!Error::io("read", "a.pth")(ErrorKind::PermissionDenied.into()).is_usage());
    }
}
