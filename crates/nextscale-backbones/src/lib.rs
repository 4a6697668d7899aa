//! Backbones: transformers that predict the next scale.

pub mod var;

use burn::tensor::{Device, Tensor};
use nextscale_core::{Alphabet, Condition, PassLogits, PassPlan, Passes, Result, ScaleSchedule};

/// A model that predicts the logits of each scale from the scales before it.
pub trait Backbone: Send + Sync {
    /// The scales that it was made for.
    fn schedule(&self) -> &ScaleSchedule;

    /// What one position's channels mean.
    fn alphabet(&self) -> Alphabet;

    /// The channels of its input features.
    fn feature_channels(&self) -> usize;

    /// The number of classes that a condition may name; the null condition is not counted.
    fn classes(&self) -> usize;

    /// The passes that it can run.
    fn passes(&self) -> Passes;

    /// The device that it computes on.
    fn device(&self) -> Device;

    /// Begins the generation of one image a condition. The session owns the caches and all that is constant over the
    /// scales; the passes that run at a scale are the plan's.
    ///
    /// # Errors
    /// If a condition is out of range, or the plan wants a pass that the model cannot run.
    fn start(&self, conditions: &[Condition], plan: &PassPlan) -> Result<Box<dyn Session + '_>>;
}

/// One batch in the making. Scales are taken in order, each once.
pub trait Session {
    /// Runs the next scale. `input` is `[batch, h·w, channels]` from the tokenizer, and `None` at scale 0.
    ///
    /// # Errors
    /// If the input does not fit the scale, or there is no scale left.
    fn step(&mut self, input: Option<Tensor<3>>) -> Result<PassLogits>;
}
