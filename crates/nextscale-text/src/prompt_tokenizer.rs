use std::{borrow::Cow, path::Path};

use tokenizers::Tokenizer;

use crate::{Error, Result, character_map, error::shortened, sentencepiece};

/// The most tokens of a prompt including its end, as read by upstream's encoders.
pub const MAX_TOKENS: usize = 512;
/// A table of embeddings may be longer than the vocabulary: published ones are padded to a multiple of this.
const FILLED_UP_TO: usize = 128;

/// Turns prompts into token ids.
#[derive(Debug, Clone)]
pub struct PromptTokenizer {
    label: String,
    tokenizer: Tokenizer,
    end: u32,
    unknown: Option<u32>,
}

/// A prompt's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Their ids, the end's last; at most [`MAX_TOKENS`].
    pub ids: Vec<u32>,
    /// How many tokens the prompt would have had, including the end.
    pub untruncated: usize,
    /// The parts of the prompt that the vocabulary does not know.
    pub unknown: Vec<String>,
}

impl PromptTokenizer {
    /// Opens a `tokenizer.json`, a sentencepiece `spiece.model` of a T5, or a folder that has one of them.
    ///
    /// # Errors
    /// If the file cannot be read or is not a vocabulary whose texts end in `</s>`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let candidates = ["tokenizer.json", "spiece.model"].map(|name| path.join(name));
        let path = candidates.iter().find(|path| path.is_file()).map_or(path, |path| path.as_path());
        let bytes =
            std::fs::read(path).map_err(|source| Error::Io { action: "read", path: path.into(), source })?;
        Self::from_bytes(&bytes, path.display().to_string())
    }

    /// Reads a vocabulary of either kind, recognised by content; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(bytes: &[u8], name: impl Into<String>) -> Result<Self> {
        let label = name.into();
        let refuse = |detail: String| Error::Vocabulary { file: label.clone(), detail };
        let json = if bytes.trim_ascii_start().starts_with(b"{") {
            Cow::Borrowed(bytes)
        } else {
            Cow::Owned(sentencepiece::tokenizer_json(bytes).map_err(refuse)?.to_string().into_bytes())
        };
        let value = serde_json::from_slice(&json).map_err(|error| refuse(error.to_string()))?;
        character_map::check_json(&value).map_err(refuse)?;
        let read = Tokenizer::from_bytes(&json);
        let mut tokenizer = read.map_err(|error| refuse(error.to_string()))?;
        // Prompts are truncated here, where it can be reported.
        tokenizer.with_truncation(None).map_err(|error| refuse(error.to_string()))?;
        tokenizer.with_padding(None);
        let empty = tokenizer.encode("", true).map_err(|error| refuse(error.to_string()))?;
        let &[end] = empty.get_ids() else {
            let found = empty.get_tokens().join(" ");
            return Err(refuse(format!("the empty text should be </s> and is {found:?}")));
        };
        let unknown = tokenizer.token_to_id("<unk>");
        Ok(Self { label, tokenizer, end, unknown })
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

    /// The id of the token that ends every prompt.
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Identifies this vocabulary.
    ///
    /// # Errors
    /// If it cannot be serialised.
    pub fn fingerprint(&self) -> Result<String> {
        let text = self.tokenizer.to_string(false);
        let text =
            text.map_err(|error| Error::Vocabulary { file: self.label.clone(), detail: error.to_string() })?;
        Ok(nextscale_files::Hash::from(text).short(12))
    }

    /// Checks that this is the vocabulary of an encoder with a table of `rows` rows and this end token.
    ///
    /// # Errors
    /// [`Error::OtherVocabulary`] with both sizes.
    pub fn check_rows(&self, rows: usize, end: u32, encoder: &str) -> Result<()> {
        let tokens = self.len();
        let refuse = |detail: String| {
            Err(Error::OtherVocabulary { vocabulary: self.label.clone(), encoder: encoder.into(), detail })
        };
        if tokens > rows || rows - tokens >= FILLED_UP_TO {
            return refuse(format!("it has {tokens} tokens, and the encoder {rows} rows of embeddings"));
        }
        if end != self.end {
            return refuse(format!("it ends texts with token {}, and the encoder with {end}", self.end));
        }
        Ok(())
    }

    /// The tokens of a prompt. The empty prompt has only the end token.
    ///
    /// # Errors
    /// If the vocabulary has no token for part of it, not even one for unknown text.
    pub fn tokens(&self, prompt: &str) -> Result<Tokens> {
        let encoding = self
            .tokenizer
            .encode(prompt, true)
            .map_err(|error| Error::Prompt { prompt: shortened(prompt), detail: error.to_string() })?;
        let mut ids = encoding.get_ids().to_vec();
        let untruncated = ids.len();
        if untruncated > MAX_TOKENS {
            ids.truncate(MAX_TOKENS - 1);
            ids.push(self.end);
        }
        let unknown = ids
            .iter()
            .zip(encoding.get_offsets())
            .filter(|(id, _)| Some(**id) == self.unknown)
            .filter_map(|(_, &(from, to))| prompt.get(from..to))
            .map(|part| part.trim().to_owned())
            .collect();
        Ok(Tokens { ids, untruncated, unknown })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::word_level;

    fn fixture(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/text").join(name)
    }

    fn words(texts: &[&str]) -> PromptTokenizer {
        PromptTokenizer::from_bytes(word_level(texts).unwrap().as_bytes(), "words").unwrap()
    }

    #[test]
    fn a_sentencepiece_model_gives_sentencepiece_s_own_tokens() {
        let tokenizer = PromptTokenizer::open(fixture("spiece.model")).unwrap();
        let text = std::fs::read_to_string(fixture("prompts.json")).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
        let prompts = expected["prompts"].as_array().unwrap();
        assert!(prompts.len() > 100);
        for prompt in prompts {
            let text = prompt["text"].as_str().unwrap();
            let mut ids: Vec<u32> = serde_json::from_value(prompt["ids"].clone()).unwrap();
            let found = tokenizer.tokens(text).unwrap();
            assert_eq!(found.untruncated, ids.len(), "{text:?}");
            if ids.len() > MAX_TOKENS {
                ids.truncate(MAX_TOKENS - 1);
                ids.push(1);
            }
            assert_eq!(found.ids, ids, "{text:?}");
        }
        // T5's sentinels follow the pieces.
        assert_eq!(tokenizer.len(), expected["pieces"].as_u64().unwrap() as usize + 100);
        assert_eq!(tokenizer.tokens("<extra_id_0>").unwrap().ids, [399, 1]);
        assert_eq!(tokenizer.tokens("<extra_id_99>").unwrap().ids, [300, 1]);
    }

    #[test]
    fn the_empty_prompt_is_the_empty_text() {
        for tokenizer in [words(&["a truck"]), PromptTokenizer::open(fixture("spiece.model")).unwrap()] {
            let empty = Tokens { ids: vec![1], untruncated: 1, unknown: vec![] };
            assert_eq!(tokenizer.tokens("").unwrap(), empty);
        }
    }

    #[test]
    fn long_prompts_are_cut_before_their_end() {
        let tokenizer = words(&["a truck"]);
        let exactly = tokenizer.tokens(&"a ".repeat(MAX_TOKENS - 1)).unwrap();
        assert_eq!((exactly.ids.len(), exactly.untruncated), (MAX_TOKENS, MAX_TOKENS));
        let long = tokenizer.tokens(&"a ".repeat(600)).unwrap();
        assert_eq!((long.ids.len(), long.untruncated), (MAX_TOKENS, 601));
        assert_eq!(long.ids, exactly.ids);
        assert_eq!(long.ids.last(), Some(&1));
    }

    #[test]
    fn words_are_numbered_by_frequency_and_unknown_ones_are_named() {
        let tokenizer = words(&["a red truck", "A blue ship,", "a red ship"]);
        // a, red and ship, then one each of "," "blue" "truck".
        assert_eq!(tokenizer.len(), 3 + 6);
        let found = tokenizer.tokens("A red, Spaceship ship").unwrap();
        assert_eq!(found.ids, [3, 4, 6, 2, 5, 1]);
        assert_eq!(found.unknown, ["Spaceship"]);
        let again = words(&["a red truck", "A blue ship,", "a red ship"]);
        assert_eq!(again.fingerprint().unwrap(), tokenizer.fingerprint().unwrap());
        assert_ne!(words(&["a"]).fingerprint().unwrap(), tokenizer.fingerprint().unwrap());
        assert!(word_level(["", " "]).is_err());
    }

    #[test]
    fn another_encoder_s_vocabulary_is_refused_by_sizes() {
        let tokenizer = words(&["a red truck"]);
        assert_eq!(tokenizer.len(), 6);
        for rows in [6, 7, 6 + 127] {
            tokenizer.check_rows(rows, 1, "t5").unwrap();
        }
        for rows in [5, 6 + 128, 32_128] {
            let error = tokenizer.check_rows(rows, 1, "t5").unwrap_err().to_string();
            assert!(error.contains("words is not the vocabulary of t5"), "{error}");
            assert!(error.contains(&format!("it has 6 tokens, and the encoder {rows} rows")), "{error}");
        }
        assert!(
            tokenizer.check_rows(6, 2, "t5").unwrap_err().to_string().contains("ends texts with token 1")
        );
    }

    #[test]
    fn what_is_no_vocabulary_is_refused_by_name() {
        let whole = std::fs::read(fixture("spiece.model")).unwrap();
        let mut without_end: serde_json::Value = serde_json::from_str(&word_level(["a"]).unwrap()).unwrap();
        without_end["post_processor"] = serde_json::Value::Null;
        let without_end = without_end.to_string();
        for bytes in [
            &b""[..],
            b"{}",
            b"{\"model\": 3}",
            b"version https://git-lfs",
            &whole[..whole.len() / 3],
            &whole[..100],
            without_end.as_bytes(),
        ] {
            let error = PromptTokenizer::from_bytes(bytes, "vocabulary").unwrap_err().to_string();
            assert!(error.starts_with("vocabulary is not a readable vocabulary"), "{error}");
            assert!(error.contains("spiece.model"), "{error}");
        }
        let error = PromptTokenizer::open("no/such/tokenizer.json").unwrap_err().to_string();
        assert!(error.contains("cannot read no/such/tokenizer.json"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        #[test]
        fn a_damaged_model_is_refused_or_read_but_never_a_panic(at in 0usize..240_000, bit in 0u8..8, keep: bool) {
            let mut bytes = std::fs::read(fixture("spiece.model")).unwrap();
            if keep {
                bytes[at] ^= 1 << bit;
            } else {
                bytes.truncate(at);
            }
            if let Ok(tokenizer) = PromptTokenizer::from_bytes(&bytes, "damaged") {
                for prompt in ["a red truck", "ＡＢＣ ﬁ ½ é 한글 \u{1f6a2}"] {
                    let _ = tokenizer.tokens(prompt);
                }
            }
        }
    }
}
