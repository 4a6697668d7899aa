use std::path::PathBuf;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Errors between a prompt and its embeddings. Messages name the file, the field and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The encoder's weights cannot be read, or its tensors do not fit.
    #[error(transparent)]
    Weights(#[from] nextscale_weights::Error),
    /// A setting is outside its range.
    #[error(transparent)]
    Core(#[from] nextscale_core::Error),
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted: "read", "create".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A `config.json` does not describe a T5 encoder, or describes another file.
    #[error("{}", nextscale_files::sentence(path, detail))]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        detail: String,
    },
    /// A weight file belongs to another kind of text encoder than those supported.
    #[error("{file}: {detail}")]
    Encoder {
        /// The file.
        file: String,
        /// What is wrong, and the remedy.
        detail: String,
    },
    /// A file is not a vocabulary.
    #[error("{file} is not a readable vocabulary: {detail}; give a tokenizer.json or a spiece.model")]
    Vocabulary {
        /// The file.
        file: String,
        /// What is wrong.
        detail: String,
    },
    /// A vocabulary belongs to another encoder.
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
    /// A prompt cannot be tokenised.
    #[error("prompt {prompt:?} cannot be turned into tokens: {detail}")]
    Prompt {
        /// The prompt, shortened.
        prompt: String,
        /// What the tokenizer says.
        detail: String,
    },
    /// A file does not contain prompts.
    #[error("{}", nextscale_files::sentence(path, detail))]
    PromptFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the remedy.
        detail: String,
    },
    /// A prompt was not among those encoded.
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
