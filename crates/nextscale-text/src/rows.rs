use std::{collections::BTreeMap, sync::Arc};

use burn::tensor::{Bool, Device, Tensor, TensorData};
use nextscale_core::ConditionRows;

use crate::{Error, Result, error::shortened};

/// The embeddings of prompts, on the host: one row per token.
#[derive(Debug, Clone)]
pub struct TextRows {
    width: usize,
    rows: BTreeMap<String, Arc<Vec<f32>>>,
}

impl TextRows {
    pub(crate) fn new(width: usize) -> Self {
        Self { width, rows: BTreeMap::new() }
    }

    pub(crate) fn insert(&mut self, prompt: String, rows: Arc<Vec<f32>>) {
        self.rows.insert(prompt, rows);
    }

    /// Channels per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The prompts that have rows.
    pub fn prompts(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }

    /// Adds the rows of other prompts from the same encoder.
    pub fn extend(&mut self, other: Self) {
        self.rows.extend(other.rows);
    }

    /// A prompt's rows, `[tokens, width]`, row-major.
    ///
    /// # Errors
    /// [`Error::NotEncoded`] if the prompt has none.
    pub fn get(&self, prompt: &str) -> Result<&[f32]> {
        let rows = self.rows.get(prompt);
        rows.map(|rows| rows.as_slice()).ok_or_else(|| Error::NotEncoded(shortened(prompt)))
    }

    /// The rows of a batch of prompts: values `[batch, longest, width]`, zero beyond a prompt's end, and a
    /// mask of where there are tokens.
    ///
    /// # Errors
    /// [`Error::NotEncoded`] if a prompt has no rows; [`Error::Core`] if the batch is empty.
    pub fn batch<S: AsRef<str>>(&self, prompts: &[S], device: &Device) -> Result<ConditionRows> {
        let rows = prompts.iter().map(|prompt| self.get(prompt.as_ref())).collect::<Result<Vec<_>>>()?;
        let Some(longest) = rows.iter().map(|rows| rows.len()).max() else {
            return Err(nextscale_core::Error::setting("condition", "there is no prompt").into());
        };
        let tokens = longest / self.width;
        let mut values = Vec::with_capacity(rows.len() * longest);
        let mut mask = Vec::with_capacity(rows.len() * tokens);
        for rows in &rows {
            values.extend_from_slice(rows);
            values.resize(values.len() + longest - rows.len(), 0.0);
            mask.extend((0..tokens).map(|token| token * self.width < rows.len()));
        }
        let batch = rows.len();
        Ok(ConditionRows::Embeddings {
            values: Tensor::from_data(TensorData::new(values, [batch, tokens, self.width]), device),
            mask: Tensor::<2, Bool>::from_data(TensorData::new(mask, [batch, tokens]), device),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_as_long_as_its_longest_prompt_and_masks_the_rest() {
        let mut rows = TextRows::new(2);
        rows.insert("long".into(), Arc::new(vec![1.0, 2.0, 3.0, 4.0]));
        rows.insert("short".into(), Arc::new(vec![5.0, 6.0]));
        let ConditionRows::Embeddings { values, mask } =
            rows.batch(&["short", "long", "short"], &Device::flex()).unwrap()
        else {
            unreachable!("text rows are embeddings")
        };
        assert_eq!(values.dims(), [3, 2, 2]);
        let expected = [5.0, 6.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0, 0.0];
        assert_eq!(values.into_data().try_to_vec::<f32>().unwrap(), expected);
        assert_eq!(
            mask.into_data().iter::<bool>().collect::<Vec<_>>(),
            [true, false, true, true, true, false]
        );
        let error = rows.batch(&["other"], &Device::flex()).unwrap_err().to_string();
        assert!(error.contains("\"other\" has not been encoded"), "{error}");
        assert!(rows.batch::<&str>(&[], &Device::flex()).is_err());
    }
}
