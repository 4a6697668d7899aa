use std::path::Path;

use serde::Deserialize;
use tokenizers::{PaddingDirection, Tokenizer};

use crate::{Error, Result, character_map, error::shortened};

/// A table of embeddings may be this much longer than the vocabulary.
const FILLED_UP_TO: usize = 512;
/// The most rows of a text.
const LONGEST: usize = 1 << 15;

/// Turns prompts into token ids of one length, with a vocabulary that has a token for padding (byte-level BPE
/// in a `tokenizer.json`).
#[derive(Debug, Clone)]
pub struct PaddedTokenizer {
    label: String,
    tokenizer: Tokenizer,
    pad: u32,
    left: bool,
    length: usize,
}

/// A prompt's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaddedTokens {
    /// Their ids, with padding up to the length.
    pub ids: Vec<u32>,
    /// Which are not padding.
    pub own: Vec<bool>,
    /// How many tokens the prompt would have had.
    pub untruncated: usize,
}

/// What a `tokenizer_config.json` says of padding.
#[derive(Debug, Default, Deserialize)]
struct Settings {
    pad_token: Option<Token>,
    padding_side: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Token {
    Text(String),
    Added { content: String },
}

impl PaddedTokenizer {
    /// Opens a `tokenizer.json`, or a folder that has one, for texts of `length` tokens. The side and the
    /// token of padding are those of the `tokenizer_config.json` beside it, or else its own.
    ///
    /// # Errors
    /// If a file cannot be read or is not a vocabulary, nothing says which token pads, or the length is 0 or
    /// beyond every model's.
    pub fn open(path: impl AsRef<Path>, length: usize) -> Result<Self> {
        let path = path.as_ref();
        let path = if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() };
        let label = path.display().to_string();
        let refuse = |detail: String| Error::Vocabulary { file: label.clone(), detail };
        if !(1..=LONGEST).contains(&length) {
            let message = format!("{length} tokens per text; give 1 to {LONGEST}");
            return Err(nextscale_core::Error::setting("context_token", message).into());
        }
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| Error::Io { action: "read", path: path.into(), source })
        };
        let json = read(&path)?;
        let value = serde_json::from_slice(&json).map_err(|error| refuse(error.to_string()))?;
        character_map::check_json(&value).map_err(refuse)?;
        let mut tokenizer = Tokenizer::from_bytes(&json).map_err(|error| refuse(error.to_string()))?;
        let beside = path.with_file_name("tokenizer_config.json");
        let settings = match beside.is_file() {
            true => settings(&read(&beside)?, &beside)?,
            false => Settings::default(),
        };
        let own = tokenizer.get_padding().map(|own| (own.pad_token.clone(), own.direction));
        let pad = match settings.pad_token {
            Some(Token::Text(content) | Token::Added { content }) => Some(content),
            None => own.as_ref().map(|(token, _)| token.clone()),
        };
        let pad = pad.ok_or_else(|| {
            refuse(format!("nothing says which token pads; `pad_token` belongs in {}", beside.display()))
        })?;
        let left = match settings.padding_side.as_deref() {
            Some("left") => true,
            Some("right") => false,
            Some(other) => {
                let detail = format!("`padding_side` is {other:?}; it can be \"left\" or \"right\"");
                return Err(Error::Config { path: beside, detail });
            }
            None => own.is_some_and(|(_, direction)| matches!(direction, PaddingDirection::Left)),
        };
        // Prompts are cut and padded here, where it can be reported.
        tokenizer.with_truncation(None).map_err(|error| refuse(error.to_string()))?;
        tokenizer.with_padding(None);
        let id = tokenizer.token_to_id(&pad);
        let id = id.ok_or_else(|| refuse(format!("it has no token {pad:?}, which is said to pad")))?;
        Ok(Self { label, tokenizer, pad: id, left, length })
    }

    /// The number of tokens, including special ones.
    pub fn len(&self) -> usize {
        let vocabulary = self.tokenizer.get_vocab(true);
        vocabulary.values().max().map_or(0, |&last| last as usize + 1)
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens per text.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Identifies this vocabulary and how it pads.
    ///
    /// # Errors
    /// If it cannot be serialised.
    pub fn fingerprint(&self) -> Result<String> {
        let text = self.tokenizer.to_string(false);
        let text =
            text.map_err(|error| Error::Vocabulary { file: self.label.clone(), detail: error.to_string() })?;
        let text = format!("{text} {} {} {}", self.pad, self.left, self.length);
        Ok(nextscale_files::Hash::from(text).short(12))
    }

    /// Checks that this is the vocabulary of an encoder with a table of so many rows.
    ///
    /// # Errors
    /// [`Error::OtherVocabulary`] with both sizes.
    pub fn check_rows(&self, rows: usize, encoder: &str) -> Result<()> {
        let tokens = self.len();
        if tokens > rows || rows - tokens >= FILLED_UP_TO {
            let detail = format!("it has {tokens} tokens, and the encoder {rows} rows of embeddings");
            let (vocabulary, encoder) = (self.label.clone(), encoder.into());
            return Err(Error::OtherVocabulary { vocabulary, encoder, detail });
        }
        Ok(())
    }

    /// The tokens of a text without padding.
    ///
    /// # Errors
    /// If the tokenizer does not accept it.
    pub fn bare(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .tokenizer
            .encode(text, true)
            .map_err(|error| Error::Prompt { prompt: shortened(text), detail: error.to_string() })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The tokens of a prompt; a longer one is cut at its end.
    ///
    /// # Errors
    /// If the tokenizer does not accept it, or it has no token of its own.
    pub fn tokens(&self, prompt: &str) -> Result<PaddedTokens> {
        let mut ids = self.bare(prompt)?;
        let untruncated = ids.len();
        ids.truncate(self.length);
        let padding = std::iter::repeat_n(self.pad, self.length - ids.len());
        let ids: Vec<u32> =
            if self.left { padding.chain(ids).collect() } else { ids.into_iter().chain(padding).collect() };
        let own: Vec<bool> = ids.iter().map(|id| *id != self.pad).collect();
        if !own.contains(&true) {
            return Err(Error::Prompt {
                prompt: shortened(prompt),
                detail: "it has no token; write Null for no condition".into(),
            });
        }
        Ok(PaddedTokens { ids, own, untruncated })
    }
}

fn settings(text: &[u8], path: &Path) -> Result<Settings> {
    serde_json::from_slice(text).map_err(|error| Error::Config {
        path: path.into(),
        detail: format!("{error}; it should be the one that was published with the vocabulary"),
    })
}
