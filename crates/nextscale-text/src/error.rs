use std::path::PathBuf;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong between a prompt and its embeddings, in words that name the file, the field and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The encoder's weights cannot be read, or its tensors do not fit.
    #[error(transparent)]
    Weights(#[from] nextscale_weights::Error),
    /// A setting is outside what it may be.
    #[error(transparent)]
    Core(#[from] nextscale_core::Error),
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: "read", "create".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A `config.json` is none of a T5 encoder, or not this file's.
    #[error("{}: {detail}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        detail: String,
    },
    /// A file of weights is one of another text encoder than those that are read here.
    #[error("{file}: {detail}")]
    Encoder {
        /// The file.
        file: String,
        /// What is wrong, and the remedy.
        detail: String,
    },
    /// A file is no vocabulary.
    #[error("{file} is no vocabulary that can be read: {detail}; give a tokenizer.json or a spiece.model")]
    Vocabulary {
        /// The file.
        file: String,
        /// What is wrong.
        detail: String,
    },
    /// A vocabulary is another encoder's.
    #[error(
        "{vocabulary} is not the vocabulary of {encoder}: {detail}; give the one that was published with it"
    )]
    OtherVocabulary {
        /// The vocabulary's file.
        vocabulary: String,
        /// The encoder's file.
        encoder: String,
        /// Both sizes.
        detail: String,
    },
    /// A prompt cannot be turned into tokens.
    #[error("prompt {prompt:?} cannot be turned into tokens: {detail}")]
    Prompt {
        /// The prompt, cut short.
        prompt: String,
        /// What the tokenizer says.
        detail: String,
    },
    /// A file is none of prompts.
    #[error("{}: {detail}", path.display())]
    PromptFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        detail: String,
    },
    /// A prompt was not among those that were encoded.
    #[error("prompt {0:?} has not been encoded; give all prompts of a run to the encoder at once")]
    NotEncoded(String),
}

/// The beginning of a text, for messages.
pub(crate) fn shortened(text: &str) -> String {
    const CHARACTERS: usize = 60;
    let mut characters = text.chars();
    let mut beginning: String = characters.by_ref().take(CHARACTERS).collect();
    if characters.next().is_some() {
        beginning.push('…');
    }
    beginning
}
