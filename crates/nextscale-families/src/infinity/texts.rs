//! Prompts to what the transformer reads.

use std::collections::BTreeSet;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_backbones::{TextConditioner, infinity::Infinity};
use nextscale_core::Condition;
use nextscale_text::{TextCache, TextEncoder, TextRows, Warning};

use crate::{Error, Result};

/// Every text of a run: what each image is to show, in the images' order, and then what they are not to show.
pub(super) fn prompts(conditions: &[Condition]) -> Vec<&str> {
    let text = |condition| match condition {
        &Condition::Prompt(ref text) => Some(text.as_str()),
        _ => None,
    };
    let shown = conditions.iter().filter_map(|condition| text(condition.shown()));
    let avoided: BTreeSet<&str> =
        conditions.iter().filter_map(|condition| text(condition.avoided())).collect();
    shown.chain(avoided).collect()
}

/// What a person should know of prompts before they are encoded.
///
/// # Errors
/// If a prompt cannot be turned into tokens, or has more of them than the transformer has rows of no text.
pub(super) fn remarks(encoder: &TextEncoder, most: usize, conditions: &[Condition]) -> Result<Vec<String>> {
    let mut remarks = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, prompt) in prompts(conditions).into_iter().enumerate() {
        if !seen.insert(prompt) {
            continue;
        }
        let tokens = encoder.tokenizer().tokens(prompt)?;
        let number = index + 1;
        if tokens.ids.len() > most {
            return Err(Error::Usage(format!(
                "prompt {number} ({prompt:?}) has {} tokens, and the model has rows of no text for {most}; shorten it",
                tokens.ids.len()
            )));
        }
        if prompt.trim().is_empty() {
            remarks.push(format!(
                "prompt {number} is empty: images of it show the empty text, which is not the null condition; \
                 `condition: Null` asks for that"
            ));
        }
        if tokens.untruncated > tokens.ids.len() {
            let told = Warning::Truncated { index, prompt: prompt.into(), tokens: tokens.untruncated };
            remarks.push(told.to_string());
        }
        if !tokens.unknown.is_empty() {
            let told = Warning::Unknown { index, prompt: prompt.into(), parts: tokens.unknown };
            remarks.push(told.to_string());
        }
    }
    Ok(remarks)
}

/// The rows of all prompts of a run. The encoder is loaded and freed here.
pub(super) fn encode(
    encoder: &TextEncoder,
    cache: Option<&Path>,
    conditions: &[Condition],
    device: &Device,
) -> Result<TextRows> {
    let cache = cache.map(TextCache::open).transpose()?;
    // What there is to be told of prompts has been told by `remarks`.
    Ok(encoder.encode(&prompts(conditions), device, cache.as_ref(), &mut |_, _| {})?.rows)
}

/// The conditioner of a transformer, for these texts.
pub(super) fn conditioner(backbone: &Infinity, rows: &TextRows, device: &Device) -> Result<TextConditioner> {
    let each = rows.prompts().map(|prompt| {
        let values = rows.get(prompt)?.to_vec();
        let shape = [values.len() / rows.width(), rows.width()];
        Ok((prompt.to_owned(), Tensor::<2>::from_data(TensorData::new(values, shape), device)))
    });
    let each = each.collect::<Result<Vec<_>>>()?;
    Ok(TextConditioner::new(backbone.null_text(), each)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_those_of_the_images_and_then_the_negatives() {
        let prompt = |text: &str| Condition::Prompt(text.into());
        let conditions = [
            prompt("b").avoiding(prompt("x")),
            prompt("a"),
            Condition::Null,
            prompt("a").avoiding(prompt("x")),
        ];
        assert_eq!(prompts(&conditions), ["b", "a", "a", "x"]);
    }
}
