use std::fmt;

use crate::{MAX_TOKENS, error::shortened};

/// Warnings about prompts that were encoded anyway.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A prompt has more tokens than an encoder reads.
    Truncated {
        /// The prompt's index, from 0.
        index: usize,
        /// The prompt.
        prompt: String,
        /// How many tokens it has.
        tokens: usize,
    },
    /// A prompt has more tokens than the model reads, and is cut at its end.
    Cut {
        /// The prompt's index, from 0.
        index: usize,
        /// The prompt.
        prompt: String,
        /// How many tokens it has.
        tokens: usize,
        /// How many are read.
        most: usize,
    },
    /// A prompt is empty, which differs from no prompt.
    Empty {
        /// The prompt's index, from 0.
        index: usize,
    },
    /// A prompt has parts that the vocabulary does not know.
    Unknown {
        /// The prompt's index, from 0.
        index: usize,
        /// The prompt.
        prompt: String,
        /// The parts.
        parts: Vec<String>,
    },
    /// Rows could not be stored on disk.
    NotKept {
        /// Why.
        detail: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { index, prompt, tokens } => write!(
                f,
                "prompt {} ({:?}) has {tokens} tokens; only the first {} and the end are read; shorten it",
                index + 1,
                shortened(prompt),
                MAX_TOKENS - 1
            ),
            Self::Cut { index, prompt, tokens, most } => write!(
                f,
                "prompt {} ({:?}) has {tokens} tokens; only the first {most} are read; shorten it",
                index + 1,
                shortened(prompt)
            ),
            Self::Empty { index } => write!(
                f,
                "prompt {} is empty, which means the empty text and not the null condition; write Null for that",
                index + 1
            ),
            Self::Unknown { index, prompt, parts } => write!(
                f,
                "prompt {} ({:?}) has parts that the vocabulary does not know: {}",
                index + 1,
                shortened(prompt),
                parts.iter().map(|part| format!("{:?}", shortened(part))).collect::<Vec<_>>().join(", ")
            ),
            Self::NotKept { detail } => write!(f, "rows of prompts could not be stored on disk: {detail}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_names_the_prompt_by_place_and_beginning() {
        let prompt = "ä".repeat(100);
        let text = Warning::Truncated { index: 7, prompt, tokens: 613 }.to_string();
        assert!(text.starts_with("prompt 8 (\"ä"), "{text}");
        assert!(text.contains("…\") has 613 tokens; only the first 511"), "{text}");
        assert!(text.chars().count() < 200, "{text}");
        let parts = vec!["spaceship".into(), "x".into()];
        let text = Warning::Unknown { index: 0, prompt: "a spaceship x".into(), parts }.to_string();
        assert!(text.ends_with("does not know: \"spaceship\", \"x\""), "{text}");
    }
}
