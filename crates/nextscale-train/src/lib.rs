//! Training of tokenizers and backbones.

mod backbone;
pub mod cache;
pub mod checkpoint;
mod codes;
pub mod config;
mod cross_entropy;
pub mod data;
pub mod ema;
mod error;
pub mod log;
pub mod optimiser;
mod params;
mod pixel_loss;
mod progress;
pub mod random;
mod run;
mod samples;
pub mod schedule;
mod tokenizer;
#[cfg(test)]
mod toy;

pub use backbone::{teacher_features, train_backbone};
pub use error::{Error, Result};
pub use run::{Options, Outcome, Training};
pub use tokenizer::train_tokenizer;
