use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale_core::{Draw, Dtype, Error as CoreError, memory};
use nextscale_tokenizers::Tokenizer;

use crate::Result;
use crate::optimiser::is_decayed;

/// A quantiser's results in training.
#[derive(Debug)]
pub struct Quantised<S> {
    /// The decoder's input, `[batch, channels, h, w]`, inside autodiff.
    pub canvas: Tensor<4>,
    /// The quantiser's loss, `[1]`; `None` in steps without quantisation.
    pub loss: Option<Tensor<1>>,
    /// Data about the codes for [`after_update`](TrainableTokenizer::after_update).
    pub seen: S,
}

/// A kind of tokenizer that can be trained: its network, its quantiser in training, and its state between
/// steps.
///
/// [`train_tokenizer`](crate::train_tokenizer) provides the rest: data, the terms of the reconstruction,
/// sheets, evaluation, and the common training loop. A resumed run equals an uninterrupted one bit for bit,
/// provided that [`counters`](Self::counters) has all state, and all randomness is a function of a seed and
/// the step.
pub trait TrainableTokenizer: Sync {
    /// The network with its codes, which is also the tokenizer outside of training. Images inside are in [-1,
    /// 1].
    type Model: Module + ModuleDisplay + Tokenizer;

    /// What a micro-batch passes to [`after_update`](Self::after_update).
    type Seen: Send;

    /// The network with fresh weights.
    ///
    /// # Errors
    /// If the sizes are invalid.
    fn fresh(&self, device: &Device) -> Result<Self::Model>;

    /// Weights from a file, whose sizes must equal those of [`fresh`](Self::fresh).
    ///
    /// # Errors
    /// If the file cannot be read, or has other sizes.
    fn open(&self, path: &Path, device: &Device) -> Result<Self::Model>;

    /// The same network in mixed precision, or back in f32.
    fn computing_in(&self, model: Self::Model, dtype: Dtype) -> Self::Model;

    /// A lower bound on the bytes that a step keeps for an image of `side` × `side` pixels: a batch
    /// that cannot fit in memory is refused before the first step. By default the image itself.
    fn bytes_of_image(&self, side: usize) -> u128 {
        memory::of_f32(&[3, side, side])
    }

    /// Encodes and quantises images `[batch, 3, H, W]` in [-1, 1].
    ///
    /// # Errors
    /// If the images do not have the tokenizer's size.
    fn quantise(&self, model: &Self::Model, images: Tensor<4>, step: u64) -> Result<Quantised<Self::Seen>>;

    /// The same if only the decoder is trained, from given tokens of every scale, `[batch, h·w, slots]`.
    fn given(&self, tokens: Vec<Tensor<3, Int>>) -> Self::Seen;

    /// The canvas of tokens of every scale `[batch, h·w, slots]`, as the decoder receives it in generation.
    ///
    /// # Errors
    /// If the tokens do not fit the schedule.
    fn canvas(&self, model: &Self::Model, tokens: &[Tensor<3, Int>]) -> Result<Tensor<4>> {
        let Some(first) = tokens.first() else {
            return Err(CoreError::Schedule("an empty schedule".into()).into());
        };
        let mut canvas = model.blank(first.dims()[0]);
        for (k, tokens) in tokens.iter().enumerate() {
            let embedding = model.embed(&Draw::tokens(tokens.clone()), k)?;
            canvas = model.accumulate(canvas, embedding, k)?;
        }
        Ok(canvas.features)
    }

    /// Decodes a canvas to images `[batch, 3, H, W]`, roughly in [-1, 1], not clamped.
    fn images(&self, model: &Self::Model, canvas: Tensor<4>) -> Tensor<4>;

    /// Whether AdamW's weight decay applies to a parameter, by the path of its fields and its number of axes.
    /// By default as in [`is_decayed`].
    fn is_decayed(&self, name: &str, axes: usize) -> bool {
        is_decayed(name, axes)
    }

    /// Changes the network after an update, given what its micro-batches passed on, in order. By default
    /// nothing.
    ///
    /// # Errors
    /// The tokenizer's own.
    fn after_update(&mut self, model: Self::Model, step: u64, seen: Vec<Self::Seen>) -> Result<Self::Model> {
        let _ = (step, seen);
        Ok(model)
    }

    /// Names of the numbers on the usage of codes that the log collects over its window.
    fn window_columns(&self) -> Vec<String>;

    /// Those numbers, in that order; the next window begins.
    fn window(&mut self) -> Vec<f64>;

    /// State between steps besides the weights, by name. By default nothing.
    fn counters(&self) -> BTreeMap<String, Vec<f32>> {
        BTreeMap::new()
    }

    /// Restores the result of [`counters`](Self::counters). The loop's own may be among them.
    fn set_counters(&mut self, counters: &BTreeMap<String, Vec<f32>>) {
        let _ = counters;
    }

    /// How often the tokens of every scale, `[batch, h·w, slots]`, use each code or bit: counts that can be
    /// added over batches.
    fn tally(&self, tokens: &[Tensor<3, Int>]) -> Vec<f64>;

    /// Numbers on how images use the codes, by name, from their total counts.
    fn code_use(&self, tally: &[f64]) -> Vec<(String, f64)>;

    /// The tensors of a weight file by name.
    fn tensors(&self, model: &Self::Model) -> Vec<(String, TensorData)>;

    /// The metadata of a weight file, with which it opens without further settings.
    fn metadata(&self, model: &Self::Model) -> BTreeMap<String, String>;
}
