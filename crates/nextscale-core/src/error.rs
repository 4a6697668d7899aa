/// Errors of the types that everything shares. Messages name what is wrong and the remedy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor does not have the shape that is needed.
    #[error("{what} has shape {found:?}, expected {expected}")]
    Shape {
        /// The tensor, in the field's words.
        what: String,
        /// The expected shape, in words or as sizes.
        expected: String,
        /// The shape that was found.
        found: Vec<usize>,
    },
    /// A setting is outside its range.
    #[error("{field}: {message}")]
    Setting {
        /// The setting's name as a user types it.
        field: String,
        /// What is wrong, and what is allowed.
        message: String,
    },
    /// A scale schedule that no generator can follow.
    #[error("scales: {0}")]
    Schedule(String),
    /// A model cannot do what a rule or a user asks for.
    #[error("{0}")]
    Unsupported(String),
    /// A value is not finite.
    #[error("{what} at scale {scale} of image {image} are not finite; {remedy}")]
    NonFinite {
        /// The values, such as "logits".
        what: String,
        /// The scale, from 0.
        scale: usize,
        /// The image's number in the run, from 0.
        image: u64,
        /// What to try.
        remedy: String,
    },
}

impl Error {
    /// A shape error for `what`.
    pub fn shape(what: impl Into<String>, expected: impl Into<String>, found: &[usize]) -> Self {
        Self::Shape { what: what.into(), expected: expected.into(), found: found.to_vec() }
    }

    /// A setting error for `field`.
    pub fn setting(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Setting { field: field.into(), message: message.into() }
    }
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
