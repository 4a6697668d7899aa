//! From prompts to the transformer's conditions.

use std::collections::BTreeSet;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_backbones::{TextConditioner, infinity::Infinity};
use nextscale_core::Condition;
use nextscale_text::{TextCache, TextEncoder, TextRows, Warning};

use crate::prompts::prompts;
use crate::{Error, Result};

/// Warnings about prompts, to be shown before they are encoded.
///
/// # Errors
/// If a prompt cannot be tokenized, or has more tokens than the transformer has rows for the null condition.
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
                "prompt {number} ({prompt:?}) has {} tokens; this model takes at most {most}; shorten it",
                tokens.ids.len()
            )));
        }
        if prompt.trim().is_empty() {
            remarks.push(format!(
                "prompt {number} is empty: its images show the empty text, which is not the null condition; \
                 for that give `condition: Null`"
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
    // `remarks` has made all warnings about prompts.
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
