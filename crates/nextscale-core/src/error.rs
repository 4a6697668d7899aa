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
    /// A tokenizer's encoder or decoder gives values that are not finite.
    #[error(
        "the {part} of {model} gives values that are not finite for image {image}: a weight is damaged, or so large that sums \
         overflow; download the model's files again, or train it again"
    )]
    Overflow {
        /// "encoder" or "decoder".
        part: &'static str,
        /// The model in words.
        model: String,
        /// The image's number, from 0.
        image: u64,
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

    /// An overflow in this part of a tokenizer, at an image of a batch.
    pub fn overflow(part: &'static str, row: usize) -> Self {
        Self::Overflow { part, model: "the tokenizer".into(), image: row as u64 }
    }

    /// The same, where an overflow names an image by its place in a batch of these numbers.
    #[must_use]
    pub fn of_images(self, numbers: &[u64]) -> Self {
        match self {
            Self::Overflow { part, model, image } => {
                let image = numbers.get(image as usize).copied().unwrap_or(image);
                Self::Overflow { part, model, image }
            }
            other => other,
        }
    }

    /// The same, with the model's name in an overflow.
    #[must_use]
    pub fn of_model(self, name: &str) -> Self {
        match self {
            Self::Overflow { part, image, .. } => Self::Overflow { part, model: name.into(), image },
            other => other,
        }
    }
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overflow_gets_the_number_of_its_image_and_the_name_of_its_model() {
        let words = Error::overflow("decoder", 1).of_images(&[7, 8]).of_model("a.pth").to_string();
        assert!(
            words.starts_with("the decoder of a.pth gives values that are not finite for image 8:"),
            "{words}"
        );
        let other = Error::setting("top_k", "no");
        assert_eq!(other.clone().of_images(&[7]).of_model("a.pth"), other);
    }
}
