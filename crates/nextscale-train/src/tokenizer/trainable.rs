use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale_core::{Draw, Dtype, Error as CoreError, memory};
use nextscale_tokenizers::Tokenizer;

use crate::Result;
use crate::optimiser::is_decayed;

/// What a quantiser makes of images in training.
#[derive(Debug)]
pub struct Quantised<S> {
    /// What the decoder is given, `[batch, channels, h, w]`, inside autodiff.
    pub canvas: Tensor<4>,
    /// The quantiser's loss, `[1]`; `None` in steps in which nothing is quantised.
    pub loss: Option<Tensor<1>>,
    /// What is kept of the codes for [`after_update`](TrainableTokenizer::after_update).
    pub seen: S,
}

/// A kind of tokenizer that can be trained: its network, its quantiser in training, and what it carries from one step to the next.
///
/// [`train_tokenizer`](crate::train_tokenizer) brings the rest: data, the terms of the reconstruction, sheets, evaluation, and the loop
/// that all trainings share. A resumed run equals a straight one bit for bit where [`counters`](Self::counters) has all that is carried, and
/// all that is random is a function of a seed and the step.
pub trait TrainableTokenizer: Sync {
    /// The network with its codes: also the tokenizer that it is outside of training. Images inside are in [-1, 1].
    type Model: Module + ModuleDisplay + Tokenizer;

    /// What a micro-batch leaves for [`after_update`](Self::after_update).
    type Seen: Send;

    /// The network with fresh weights.
    ///
    /// # Errors
    /// If the sizes make no network.
    fn fresh(&self, device: &Device) -> Result<Self::Model>;

    /// The weights of a file, whose sizes must be those of [`fresh`](Self::fresh).
    ///
    /// # Errors
    /// If the file cannot be read, or has other sizes.
    fn open(&self, path: &Path, device: &Device) -> Result<Self::Model>;

    /// The same network in mixed precision, or back in f32.
    fn computing_in(&self, model: Self::Model, dtype: Dtype) -> Self::Model;

    /// The least bytes that a step keeps for an image of `side` × `side` pixels, so that a batch beyond all memory is refused before
    /// the first step. By default the image itself.
    fn bytes_of_image(&self, side: usize) -> u128 {
        memory::of_f32(&[3, side, side])
    }

    /// Encodes and quantises images `[batch, 3, H, W]` in [-1, 1].
    ///
    /// # Errors
    /// If the images do not have the tokenizer's size.
    fn quantise(&self, model: &Self::Model, images: Tensor<4>, step: u64) -> Result<Quantised<Self::Seen>>;

    /// The same where only the decoder is trained: what is left of tokens that are given, of every scale `[batch, h·w, slots]`.
    fn given(&self, tokens: Vec<Tensor<3, Int>>) -> Self::Seen;

    /// The canvas of tokens of every scale `[batch, h·w, slots]`, as the decoder finds it in generation.
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

    /// The images of a canvas, `[batch, 3, H, W]`, about [-1, 1] and not clamped.
    fn images(&self, model: &Self::Model, canvas: Tensor<4>) -> Tensor<4>;

    /// Whether AdamW's weight decay applies to a parameter, by the path of its fields and the number of its axes. By default as in
    /// [`is_decayed`].
    fn is_decayed(&self, name: &str, axes: usize) -> bool {
        is_decayed(name, axes)
    }

    /// What is done to the network after an update, with what its micro-batches left, in their order. By default nothing.
    ///
    /// # Errors
    /// The tokenizer's own.
    fn after_update(&mut self, model: Self::Model, step: u64, seen: Vec<Self::Seen>) -> Result<Self::Model> {
        let _ = (step, seen);
        Ok(model)
    }

    /// Names of the numbers on the use of codes that the log takes over its window.
    fn window_columns(&self) -> Vec<String>;

    /// Those numbers, one a name; the next window begins.
    fn window(&mut self) -> Vec<f64>;

    /// What is carried from one step to the next beside the weights, by name. By default nothing.
    fn counters(&self) -> BTreeMap<String, Vec<f32>> {
        BTreeMap::new()
    }

    /// Puts back what [`counters`](Self::counters) gave. The loop's own may be among them.
    fn set_counters(&mut self, counters: &BTreeMap<String, Vec<f32>>) {
        let _ = counters;
    }

    /// How often the tokens of every scale, `[batch, h·w, slots]`, use what can be used: counts that add up over batches.
    fn tally(&self, tokens: &[Tensor<3, Int>]) -> Vec<f64>;

    /// Numbers on how images use the codes, by name, from the counts of all of them.
    fn code_use(&self, tally: &[f64]) -> Vec<(String, f64)>;

    /// The tensors of a file of weights by name.
    fn tensors(&self, model: &Self::Model) -> Vec<(String, TensorData)>;

    /// What a file of weights says in its header, so that it can be opened without further settings.
    fn metadata(&self, model: &Self::Model) -> BTreeMap<String, String>;
}
