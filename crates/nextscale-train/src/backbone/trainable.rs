use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use nextscale_backbones::{Backbone, Conditioner};
use nextscale_core::{Condition, memory};
use nextscale_tokenizers::Tokenizer;

use super::Lesson;
use crate::Result;
use crate::cache::encode;
use crate::data::{Dataset, Images};
use crate::task::Groups;

/// The images of a micro-batch, as a lesson is made of them.
#[derive(Debug)]
pub enum Material {
    /// Their tokens, `[batch, L, slots]`, which the run keeps.
    Tokens(Tensor<3, Int>),
    /// Their pixels, `[batch, 3, H, W]` in [-1, 1], others in every epoch.
    Images(Tensor<4>),
}

/// A model in training as generation has it.
pub struct Drawing {
    /// Canvases to logits.
    pub backbone: Arc<dyn Backbone>,
    /// Conditions to what the backbone reads.
    pub conditioner: Arc<dyn Conditioner>,
}

/// A kind of backbone that can be trained: its network, what images are conditioned on, and what it learns from them.
///
/// [`train_backbone`](crate::train_backbone) brings the rest: tokens, dropped conditions, cross-entropy by scale, sheets,
/// evaluation, and the loop that all trainings share.
pub trait TrainableBackbone: Sync {
    /// The network, with whatever learns beside it, such as a text encoder.
    type Model: Module + Sync;

    /// The network with fresh weights.
    ///
    /// # Errors
    /// If the sizes make no network.
    fn fresh(&self, device: &Device) -> Result<Self::Model>;

    /// The weights of a file to begin from.
    ///
    /// # Errors
    /// If the file cannot be read, or is of another network.
    fn open(&self, start: &Path, device: &Device) -> Result<Self::Model>;

    /// The least bytes that a step keeps for an image of so many positions, so that a batch beyond all memory is refused before the
    /// first step. By default a number for each position.
    fn bytes_of_image(&self, positions: usize) -> u128 {
        memory::of_f32(&[positions])
    }

    /// What the optimiser does with which parameters.
    fn groups(&self, model: &Self::Model) -> Groups;

    /// What an image is conditioned on in an epoch, before it is dropped in its turn. By default its class.
    fn condition(&self, images: &Images, index: usize, epoch: u64) -> Condition {
        let _ = epoch;
        Condition::Class(images.labels[index].into())
    }

    /// What the numbers of an evaluation under those conditions are called: `class.all`, beside `null.all`.
    fn condition_name(&self) -> &'static str {
        "class"
    }

    /// The conditions of a sample sheet, `columns` images of each beside each other. By default the first ten classes.
    fn sheet(&self, data: &Dataset, columns: usize) -> Vec<Condition> {
        (0..data.classes.len().min(10) * columns).map(|i| Condition::Class(i / columns)).collect()
    }

    /// Whether lessons are made of pixels in every step, even of images that stay in place. By default they are made of tokens,
    /// which are kept where images stay.
    fn reads_pixels(&self) -> bool {
        false
    }

    /// What is learnt from some images; `keys` has a number for each image, another in every epoch, which all that is random here
    /// must be a function of. By default plain teacher forcing.
    ///
    /// # Errors
    /// The tokenizer's.
    fn lesson(&self, tokenizer: &dyn Tokenizer, material: Material, keys: &[u64]) -> Result<Lesson> {
        let _ = keys;
        let tokens = match material {
            Material::Tokens(tokens) => tokens,
            Material::Images(images) => encode(tokenizer, images)?,
        };
        Ok(Lesson::of_tokens(tokenizer, tokens)?)
    }

    /// Teacher-forced logits `[batch, L, slots · classes]` on a lesson's features, inside autodiff.
    ///
    /// # Errors
    /// If the conditions are none that it reads, or the features do not fit.
    fn logits(&self, model: &Self::Model, features: Tensor<3>, conditions: &[Condition])
    -> Result<Tensor<3>>;

    /// The network as generation has it.
    ///
    /// # Errors
    /// If it cannot generate.
    fn drawing(&self, model: &Self::Model) -> Result<Drawing>;

    /// The tensors of a file of weights by name.
    fn tensors(&self, model: &Self::Model) -> Vec<(String, TensorData)>;

    /// What a file of weights says in its header, beside scales and steps.
    fn metadata(&self, model: &Self::Model, data: &Dataset) -> BTreeMap<String, String>;
}
