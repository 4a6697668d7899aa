use std::error::Error as StdError;

/// Errors that end a batch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A component refused its input.
    #[error(transparent)]
    Core(#[from] nextscale_core::Error),
    /// Parts that do not fit each other.
    #[error("{0}")]
    Unfit(String),
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(String),
    /// An observer could not record what it saw; holds its own error.
    #[error(transparent)]
    Observer(Box<dyn StdError + Send + Sync>),
    /// A stop was requested.
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// An observer's own error.
    pub fn observer(error: impl StdError + Send + Sync + 'static) -> Self {
        Self::Observer(Box::new(error))
    }
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
