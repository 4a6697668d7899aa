//! Converts `spiece.model`, a sentencepiece unigram model, to the equivalent `tokenizer.json`.

use base64::{Engine, prelude::BASE64_STANDARD};
use prost::Message;
use serde_json::{Value, json};

/// Sentinels that T5's tokenizer adds after the pieces, numbered backwards: `<extra_id_99>` comes first.
const SENTINELS: usize = 100;
/// Stands for a space in pieces.
const SPACE: char = '▁';

/// The fields that are read of a sentencepiece `ModelProto`.
#[derive(Message)]
struct Model {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<Piece>,
    #[prost(message, optional, tag = "2")]
    trainer: Option<Trainer>,
    #[prost(message, optional, tag = "3")]
    normalizer: Option<Normalizer>,
}

#[derive(Message)]
struct Piece {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(enumeration = "Kind", optional, tag = "3")]
    kind: Option<i32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum Kind {
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

#[derive(Message)]
struct Trainer {
    #[prost(int32, optional, tag = "3")]
    model_type: Option<i32>,
    #[prost(bool, optional, tag = "35")]
    byte_fallback: Option<bool>,
}

/// `TrainerSpec.ModelType` of unigram models.
const UNIGRAM: i32 = 1;

#[derive(Message)]
struct Normalizer {
    #[prost(bytes = "vec", optional, tag = "2")]
    precompiled_charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "3")]
    add_dummy_prefix: Option<bool>,
    #[prost(bool, optional, tag = "4")]
    remove_extra_whitespaces: Option<bool>,
    #[prost(bool, optional, tag = "5")]
    escape_whitespaces: Option<bool>,
}

/// The `tokenizer.json` of a T5 sentencepiece model: its pieces, then T5's sentinels, with `</s>` after every
/// text.
///
/// # Errors
/// A message, if the bytes are not such a model.
pub(crate) fn tokenizer_json(bytes: &[u8]) -> Result<Value, String> {
    let model = Model::decode(bytes).map_err(|error| format!("as a sentencepiece model, {error}"))?;
    let kind = model.trainer.as_ref().and_then(|trainer| trainer.model_type).unwrap_or(UNIGRAM);
    if kind != UNIGRAM {
        return Err(format!("its pieces are not those of a unigram model but of kind {kind}"));
    }
    if model.trainer.as_ref().and_then(|trainer| trainer.byte_fallback).unwrap_or(false) {
        return Err("it falls back to bytes, which T5's does not".into());
    }
    let normalizer = model.normalizer.as_ref().ok_or("it has no rules of normalisation")?;
    for (rule, holds) in [
        ("add_dummy_prefix", normalizer.add_dummy_prefix),
        ("remove_extra_whitespaces", normalizer.remove_extra_whitespaces),
        ("escape_whitespaces", normalizer.escape_whitespaces),
    ] {
        if !holds.unwrap_or(true) {
            return Err(format!("its rule {rule} is off, which T5's is not"));
        }
    }
    let of_kind = |kind: Kind| move |piece: &&Piece| piece.kind.unwrap_or(Kind::Normal as i32) == kind as i32;
    let unknown = model
        .pieces
        .iter()
        .position(|piece| of_kind(Kind::Unknown)(&piece))
        .ok_or("none of its pieces stands for unknown text")?;
    let name = |piece: &Piece| piece.piece.clone().unwrap_or_default();
    let end = model.pieces.iter().position(|piece| name(piece) == "</s>").ok_or("it has no piece </s>")?;

    let mut vocabulary: Vec<(String, f32)> =
        model.pieces.iter().map(|piece| (name(piece), piece.score.unwrap_or(0.0))).collect();
    let sentinels = (0..SENTINELS).rev().map(|i| format!("<extra_id_{i}>"));
    vocabulary.extend(sentinels.map(|sentinel| (sentinel, 0.0)));
    let special = |id: usize, piece: &str| {
        json!({"id": id, "content": piece, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    let added: Vec<Value> = vocabulary
        .iter()
        .enumerate()
        .filter(|(id, _)| model.pieces.get(*id).is_none_or(|piece| !of_kind(Kind::Normal)(&piece)))
        .map(|(id, (piece, _))| special(id, piece))
        .collect();
    let mut steps = Vec::new();
    if let Some(map) = normalizer.precompiled_charsmap.as_ref().filter(|map| !map.is_empty()) {
        steps.push(json!({"type": "Precompiled", "precompiled_charsmap": BASE64_STANDARD.encode(map)}));
    }
    // Spaces at both ends are removed; several become one.
    steps.push(json!({"type": "Replace", "pattern": {"Regex": "^ +| +$"}, "content": ""}));
    steps.push(json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}));
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": steps},
        "pre_tokenizer": {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": true},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}},
                     {"Sequence": {"id": "B", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "special_tokens": {"</s>": {"id": "</s>", "ids": [end], "tokens": ["</s>"]}},
        },
        "decoder": {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": true},
        "model": {"type": "Unigram", "unk_id": unknown, "vocab": vocabulary, "byte_fallback": false},
    }))
}
