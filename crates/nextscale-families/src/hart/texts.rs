//! From prompts to the transformer's conditions.

use std::collections::BTreeSet;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_backbones::{PaddedText, PaddedTextConditioner};
use nextscale_core::Condition;
use nextscale_text::{PaddedEncoder, PaddedRows, TextCache, Warning};

use crate::prompts::prompts;
use crate::{Error, Result};

/// Remarks on prompts that a person should read before they are encoded.
///
/// # Errors
/// If a prompt cannot be tokenized, or is empty.
pub(super) fn remarks(encoder: &PaddedEncoder, conditions: &[Condition]) -> Result<Vec<String>> {
    let mut remarks = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, prompt) in prompts(conditions).into_iter().enumerate() {
        if !seen.insert(prompt) {
            continue;
        }
        if encoder.tokenizer().bare(prompt)?.is_empty() {
            return Err(Error::Usage(format!(
                "prompt {} is empty, and this model needs a token; for the null condition give `condition: Null`",
                index + 1
            )));
        }
        let tokens = encoder.tokenizer().tokens(prompt)?;
        if tokens.untruncated > tokens.ids.len() {
            let (tokens, most) = (tokens.untruncated, tokens.ids.len());
            remarks.push(Warning::Cut { index, prompt: prompt.into(), tokens, most }.to_string());
        }
    }
    Ok(remarks)
}

/// The rows of all prompts of a run. The language model is read and freed here.
pub(super) fn encode(
    encoder: &PaddedEncoder,
    cache: Option<&Path>,
    conditions: &[Condition],
    device: &Device,
) -> Result<PaddedRows> {
    let cache = cache.map(TextCache::open).transpose()?;
    // `remarks` has made all warnings about prompts.
    Ok(encoder.encode(&prompts(conditions), device, cache.as_ref(), &mut |_, _| {})?.rows)
}

/// The conditioner for these texts.
pub(super) fn conditioner(rows: &PaddedRows, device: &Device) -> Result<PaddedTextConditioner> {
    let each = rows.prompts().map(|prompt| {
        let (values, own) = rows.get(prompt)?;
        let values = Tensor::from_data(TensorData::new(values.to_vec(), rows.shape()), device);
        Ok((prompt.to_owned(), PaddedText { values, mask: own.to_vec() }))
    });
    let each = each.collect::<Result<Vec<_>>>()?;
    Ok(PaddedTextConditioner::new(rows.shape(), each, device)?)
}
