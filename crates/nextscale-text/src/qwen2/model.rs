use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::{Error as CoreError, memory};
use nextscale_weights::WeightFile;

use super::{
    config::Qwen2Config,
    infer::{EMBEDDING, NORM, check},
    layer::{Layer, normed},
};
use crate::Result;

/// The most tokens that a layer reads at once.
const TOKENS: usize = 4096;

/// A Qwen2 whose header has been checked. Its layers are read one at a time while it encodes, so that it never
/// takes the memory of all.
#[derive(Debug, Clone)]
pub struct Qwen2 {
    file: WeightFile,
    config: Qwen2Config,
}

/// The tokens of a text, and which are not padding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Read<'a> {
    pub tokens: &'a [u32],
    pub own: &'a [bool],
}

impl Qwen2 {
    /// A model of these sizes in a file.
    ///
    /// # Errors
    /// If a tensor is missing, unexpected or misshapen.
    pub(crate) fn new(file: &WeightFile, config: Qwen2Config) -> Result<Self> {
        config.check()?;
        Ok(Self { file: check(file, &config)?, config })
    }

    /// The sizes.
    pub fn config(&self) -> &Qwen2Config {
        &self.config
    }

    /// The file.
    pub(crate) fn file(&self) -> &WeightFile {
        &self.file
    }

    /// The hidden states of texts of one length after the last norm, `[length, width]` each. A token sees
    /// itself and those before it, except padding; one that would see nothing, which is padding before a
    /// text, sees everything, as in PyTorch's fast attention. A text's states do not depend on the others.
    ///
    /// `heard` receives the number of layers done.
    ///
    /// # Errors
    /// If the file cannot be read, lengths differ, or a token is outside the vocabulary.
    pub(crate) fn encode(
        &self,
        texts: &[Read<'_>],
        device: &Device,
        heard: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<f32>>> {
        let length = texts.first().map_or(0, |text| text.tokens.len());
        if length == 0 || texts.iter().any(|text| text.tokens.len() != length || text.own.len() != length) {
            return Err(CoreError::setting("condition", "texts must have one length of at least 1").into());
        }
        let states = memory::of_f32(&[texts.len(), length, self.config.width]);
        memory::check("condition", &format!("{} encoded prompts", texts.len()), states)?;
        let turns = self.turns(length, device);
        let each = (TOKENS / length).max(1);
        let batches: Vec<&[Read<'_>]> = texts.chunks(each).collect();
        let masks: Vec<Tensor<3>> = batches.iter().map(|texts| mask(texts, length, device)).collect();
        let mut states = self.embedded(&batches, length, device)?;
        for index in 0..self.config.depth {
            let layer = Layer::read(&self.file, index, &self.config, device)?;
            for (x, mask) in states.iter_mut().zip(&masks) {
                *x = layer.forward(x.clone(), &turns, mask);
            }
            heard(index + 1);
        }
        let norm: Tensor<1> = self.file.tensor(NORM, device)?;
        let each = states.into_iter().flat_map(|x| {
            let values: Vec<f32> = normed(x, &norm, self.config.epsilon).into_data().iter::<f32>().collect();
            values.chunks_exact(length * self.config.width).map(<[f32]>::to_vec).collect::<Vec<_>>()
        });
        Ok(each.collect())
    }

    /// The embeddings of batches of texts, `[texts, length, width]` each. Only rows of tokens that occur are
    /// kept: the table is a large part of a small model.
    fn embedded(&self, batches: &[&[Read<'_>]], length: usize, device: &Device) -> Result<Vec<Tensor<3>>> {
        let Qwen2Config { width, vocabulary, .. } = self.config;
        let tokens = batches.iter().flat_map(|texts| texts.iter()).flat_map(|text| text.tokens);
        if let Some(token) = tokens.clone().find(|&&token| token as usize >= vocabulary) {
            let message = format!("token {token} is not one of the encoder's {vocabulary}");
            return Err(CoreError::setting("condition", message).into());
        }
        let rows = self.file.with_values(EMBEDDING, |table, _| {
            let mut rows = Vec::new();
            for &token in tokens {
                rows.extend_from_slice(&table[token as usize * width..][..width]);
            }
            rows
        })?;
        // Only these rows: the whole table is many times as large.
        self.file.refuse_not_finite(EMBEDDING, &rows)?;
        let mut rest = rows.as_slice();
        let each = batches.iter().map(|texts| {
            let (own, others) = rest.split_at(texts.len() * length * width);
            rest = others;
            Tensor::from_data(TensorData::new(own.to_vec(), [texts.len(), length, width]), device)
        });
        Ok(each.collect())
    }

    /// The cosines and sines of all positions, `[1, length, 2, head width]`.
    fn turns(&self, length: usize, device: &Device) -> Tensor<4> {
        let width = self.config.head_width;
        let frequency = |j: usize| self.config.theta.powf(-((2 * j) as f64) / width as f64) as f32;
        let frequencies: Vec<f32> = (0..width / 2).map(frequency).collect();
        let mut turns = Vec::with_capacity(length * 2 * width);
        for position in 0..length {
            let angles = frequencies.iter().map(|frequency| f64::from(position as f32 * frequency));
            let angles: Vec<f64> = angles.clone().chain(angles).collect();
            turns.extend(angles.iter().map(|angle| angle.cos() as f32));
            turns.extend(angles.iter().map(|angle| angle.sin() as f32));
        }
        Tensor::from_data(TensorData::new(turns, [1, length, 2, width]), device)
    }
}

/// What is added to the scores of texts, `[texts, length, length]`.
fn mask(texts: &[Read<'_>], length: usize, device: &Device) -> Tensor<3> {
    let mut mask = vec![0.0; texts.len() * length * length];
    for (i, row) in mask.chunks_exact_mut(length).enumerate() {
        let (text, query) = (&texts[i / length], i % length);
        if text.own[..=query].contains(&true) {
            for (key, value) in row.iter_mut().enumerate() {
                if key > query || !text.own[key] {
                    *value = f32::NEG_INFINITY;
                }
            }
        }
    }
    Tensor::from_data(TensorData::new(mask, [texts.len(), length, length]), device)
}
