//! A small classifier, for the perceptual term of a tokenizer's training: its features know what pixels do not.

mod model;
mod task;

pub use model::Classifier;
pub use task::{WEIGHTS, train_classifier};
