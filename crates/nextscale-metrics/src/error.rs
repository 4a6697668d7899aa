use std::path::{Path, PathBuf};

use nextscale_shards::ShardError;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Errors between images and a table of measures. Messages name the file and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted: "read", "write".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or folder was read, but is not what is needed.
    #[error("{}", nextscale_files::sentence(path, problem))]
    Source {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// A file that is not a usable image.
    #[error(transparent)]
    Image(#[from] nextscale_files::ImageFileError),
    /// A shard that does not belong to the others, or shards that cannot be merged.
    #[error(transparent)]
    Shards(#[from] ShardError),
    /// A stop was requested. Finished work is kept.
    #[error("stopped; finished work is kept, and repeating the command resumes it")]
    Stopped,
    /// Pixels that do not form a batch of images.
    #[error("{0}")]
    Pixels(String),
    /// Features do not have the expected shape.
    #[error("{what}: {found} values, expected {expected}")]
    Shape {
        /// Which features.
        what: String,
        /// How many values there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// NaN or infinite features.
    #[error(
        "{what} of image {row} are not finite (feature {column} is {value}); check the network's weights, and the image"
    )]
    NotFinite {
        /// Which features, and from which file.
        what: String,
        /// The image, counted from 0.
        row: u64,
        /// The feature, counted from 0.
        column: usize,
        /// What it is.
        value: f32,
    },
    /// Too few images for a measure.
    #[error("{what} needs at least {needed} images; there are {found}")]
    TooFew {
        /// The measure, or whatever else needs them.
        what: String,
        /// How many it needs.
        needed: u64,
        /// How many there are.
        found: u64,
    },
    /// A setting is out of its range.
    #[error("{name} {problem}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Two sets whose features cannot be compared.
    #[error("{a} and {b} cannot be compared: {problem}")]
    Mismatch {
        /// The one.
        a: String,
        /// The other.
        b: String,
        /// How they differ, and the remedy.
        problem: String,
    },
    /// A matrix that is not a covariance, or whose decomposition failed.
    #[error("{0}")]
    Covariance(String),
    /// A network's weights could not be read.
    #[error(transparent)]
    Weights(#[from] nextscale_weights::Error),
    /// A weight file could not be read to compute its hash.
    #[error("cannot read {}: {source}", path.display())]
    WeightBytes {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl Error {
    /// An I/O error of `path`.
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// A file or folder that is not what is needed.
    pub(crate) fn source(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self::Source { path: path.as_ref().to_owned(), problem: problem.into() }
    }

    /// The file or folder that is not there, if that is what is wrong.
    pub fn missing(&self) -> Option<&Path> {
        match self {
            Self::Io { action: "read", path, source } | Self::WeightBytes { path, source } => {
                nextscale_files::missing(path, source)
            }
            Self::Image(error) => error.missing(),
            Self::Weights(error) => error.missing(),
            _ => None,
        }
    }

    /// Whether the request is at fault (exit code 2) rather than the run (exit code 1).
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Setting { .. } | Self::Mismatch { .. } | Self::Shards(ShardError::Refused(_)))
            || self.missing().is_some()
    }
}
