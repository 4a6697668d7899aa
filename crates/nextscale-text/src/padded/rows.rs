use std::{collections::BTreeMap, sync::Arc};

use crate::{Error, Result, error::shortened};

/// The embeddings of prompts of one length, on the host: one row per token or padding.
#[derive(Debug, Clone)]
pub struct PaddedRows {
    length: usize,
    width: usize,
    rows: BTreeMap<String, Row>,
}

type Row = (Arc<Vec<f32>>, Vec<bool>);

impl PaddedRows {
    pub(super) fn new(length: usize, width: usize) -> Self {
        Self { length, width, rows: BTreeMap::new() }
    }

    pub(super) fn insert(&mut self, prompt: String, rows: Arc<Vec<f32>>, own: Vec<bool>) {
        self.rows.insert(prompt, (rows, own));
    }

    /// Rows per prompt, and channels per row.
    pub fn shape(&self) -> [usize; 2] {
        [self.length, self.width]
    }

    /// The prompts that have rows.
    pub fn prompts(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }

    /// A prompt's rows, `[length, width]`, row-major, and which are its own.
    ///
    /// # Errors
    /// [`Error::NotEncoded`] if the prompt has none.
    pub fn get(&self, prompt: &str) -> Result<(&[f32], &[bool])> {
        let found = self.rows.get(prompt).map(|(rows, own)| (rows.as_slice(), own.as_slice()));
        found.ok_or_else(|| Error::NotEncoded(shortened(prompt)))
    }
}
