//! A vocabulary of whole words, for encoders trained on captions with few different words.

use serde_json::json;
use tokenizers::{
    AddedToken, Tokenizer,
    models::{TrainerWrapper, wordlevel::WordLevelTrainer},
};

use crate::{Error, Result};

/// T5's first tokens, by id.
const SPECIAL: [&str; 3] = ["<pad>", "</s>", "<unk>"];

/// The `tokenizer.json` of all words of `texts`, in lower case, most frequent first: `<pad>` is 0, `</s>`,
/// which ends every text, is 1, and `<unk>`, for unknown words, is 2. Punctuation marks are separate words.
///
/// # Errors
/// If there are no words.
pub fn word_level<S: AsRef<str> + Send>(
    texts: impl IntoIterator<Item = S, IntoIter: Send>,
) -> Result<String> {
    let refuse = |detail: String| Error::Vocabulary { file: "a vocabulary of words".into(), detail };
    let vocabulary: serde_json::Map<String, serde_json::Value> =
        SPECIAL.iter().zip(0..).map(|(token, id): (_, u32)| (token.to_string(), id.into())).collect();
    let added: Vec<_> = SPECIAL
        .iter()
        .zip(0..)
        .map(|(token, id): (_, u32)| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                   "normalized": false, "special": true})
        })
        .collect();
    let empty = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}},
        },
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    });
    let mut tokenizer: Tokenizer =
        serde_json::from_value(empty).map_err(|error| refuse(error.to_string()))?;
    let special = SPECIAL.map(|token| AddedToken::from(token, true));
    let trainer = WordLevelTrainer::builder()
        .show_progress(false)
        .vocab_size(usize::MAX)
        .special_tokens(special.into())
        .build()
        .map_err(|error| refuse(error.to_string()))?;
    let mut trainer = TrainerWrapper::WordLevelTrainer(trainer);
    tokenizer.train(&mut trainer, texts.into_iter()).map_err(|error| refuse(error.to_string()))?;
    if tokenizer.get_vocab_size(true) == SPECIAL.len() {
        return Err(refuse("the texts have no words".into()));
    }
    tokenizer.to_string(true).map_err(|error| refuse(error.to_string()))
}
