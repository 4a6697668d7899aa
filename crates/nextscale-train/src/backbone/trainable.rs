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
use crate::data::{Dataset, Images, View};
use crate::task::Groups;

/// The images of a micro-batch, as the material of a lesson.
#[derive(Debug)]
pub enum Material {
    /// Their tokens, `[batch, L, slots]`, which the run stores.
    Tokens(Tensor<3, Int>),
    /// Their pixels, `[batch, 3, H, W]` in [-1, 1], different in every epoch.
    Images(Tensor<4>),
}

/// A model in training, ready to generate.
pub struct Drawing {
    /// Canvases to logits.
    pub backbone: Arc<dyn Backbone>,
    /// Conditions to its input.
    pub conditioner: Arc<dyn Conditioner>,
}

/// A kind of backbone that can be trained: its network, its conditions, and what it learns from images.
///
/// [`train_backbone`](crate::train_backbone) provides the rest: tokens, dropped conditions, cross-entropy by
/// scale, sheets, evaluation, and the common training loop.
pub trait TrainableBackbone: Sync {
    /// The network, with anything trained along with it, such as a text encoder.
    type Model: Module + Sync;

    /// The network with fresh weights.
    ///
    /// # Errors
    /// If the sizes are invalid.
    fn fresh(&self, device: &Device) -> Result<Self::Model>;

    /// Initial weights from a file.
    ///
    /// # Errors
    /// If the file cannot be read, or belongs to another network.
    fn open(&self, start: &Path, device: &Device) -> Result<Self::Model>;

    /// A lower bound on the bytes that a step keeps for an image of this many positions: a batch
    /// that cannot fit in memory is refused before the first step. By default one f32 number per
    /// position.
    fn bytes_of_image(&self, positions: usize) -> u128 {
        memory::of_f32(&[positions])
    }

    /// How the optimiser treats each parameter.
    fn groups(&self, model: &Self::Model) -> Groups;

    /// The condition of an image under a view in an epoch, before conditions are dropped at random. By
    /// default its class.
    fn condition(&self, images: &Images, index: usize, view: View, epoch: u64) -> Condition {
        let _ = (view, epoch);
        Condition::Class(images.labels[index].into())
    }

    /// The prefix of the names of an evaluation under those conditions: `class.all`, beside `null.all`.
    fn condition_name(&self) -> &'static str {
        "class"
    }

    /// The conditions of a sample sheet, with `columns` images of each side by side. By default the first ten
    /// classes.
    fn sheet(&self, data: &Dataset, columns: usize) -> Vec<Condition> {
        (0..data.classes.len().min(10) * columns).map(|i| Condition::Class(i / columns)).collect()
    }

    /// Whether lessons need pixels in every step, even of unshifted images. By default they use tokens, which
    /// are stored for unshifted images.
    fn reads_pixels(&self) -> bool {
        false
    }

    /// The lesson of some images. `keys` has a number per image that changes with the epoch; all randomness
    /// must be a function of it. By default plain teacher forcing.
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
    /// If it cannot read the conditions, or the features do not fit.
    fn logits(&self, model: &Self::Model, features: Tensor<3>, conditions: &[Condition])
    -> Result<Tensor<3>>;

    /// As [`logits`](Self::logits), with the `dropped` conditions replaced by the null condition.
    /// Override it if the replacement depends on the dropped condition: Infinity uses as many rows
    /// of no text as the prompt has tokens.
    ///
    /// # Errors
    /// As [`logits`](Self::logits).
    fn logits_without(
        &self,
        model: &Self::Model,
        features: Tensor<3>,
        conditions: &[Condition],
        dropped: &[bool],
    ) -> Result<Tensor<3>> {
        let left = |(condition, dropped): (&Condition, &bool)| {
            if *dropped { Condition::Null } else { condition.clone() }
        };
        let conditions: Vec<Condition> = conditions.iter().zip(dropped).map(left).collect();
        self.logits(model, features, &conditions)
    }

    /// The network, ready to generate.
    ///
    /// # Errors
    /// If it cannot generate.
    fn drawing(&self, model: &Self::Model) -> Result<Drawing>;

    /// The tensors of a weight file by name.
    fn tensors(&self, model: &Self::Model) -> Vec<(String, TensorData)>;

    /// The metadata of a weight file, besides scales and steps.
    fn metadata(&self, model: &Self::Model, data: &Dataset) -> BTreeMap<String, String>;

    /// Writes a finished run's further files beside that one, such as a text encoder. By default none.
    ///
    /// # Errors
    /// If a file cannot be written.
    fn write_beside(&self, model: &Self::Model, folder: &Path) -> Result<()> {
        let _ = (model, folder);
        Ok(())
    }
}
