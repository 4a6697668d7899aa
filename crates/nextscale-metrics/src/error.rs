/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between images and distances.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A network's weights could not be read.
    #[error(transparent)]
    Weights(#[from] nextscale_weights::Error),
    /// A weight file could not be read through for its hash.
    #[error("cannot read {}: {source}", path.display())]
    WeightBytes {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Pixels that are no batch of images.
    #[error("{0}")]
    Pixels(String),
}
