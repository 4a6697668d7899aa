//! Training of backbones of any architecture on the tokens of a frozen tokenizer.

mod examples;
mod task;
mod teacher;
mod trainable;

pub use task::train_backbone;
pub use teacher::{Lesson, teacher_features};
pub use trainable::{Drawing, Material, TrainableBackbone};

#[cfg(test)]
mod tests;
