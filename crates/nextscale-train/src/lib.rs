//! Training of tokenizers and backbones, and of the classifier behind a tokenizer's perceptual loss.
//!
//! [`train_tokenizer`] trains any [`TrainableTokenizer`], [`train_backbone`] any [`TrainableBackbone`]. Model
//! families provide these; this crate knows none. Each run writes a folder: `log.csv`, `evaluation.csv` and
//! sample sheets during training, `checkpoint.safetensors` every few minutes, and the weights at the end.
//!
//! They and [`train_classifier`] are [`task::Task`]s under one loop, [`train_task`], which also accepts tasks
//! of other crates.
//!
//! A run that is stopped and resumed continues as if never interrupted. All randomness is a function of the
//! seed and the step, and the checkpoint holds the rest: on the CPU, losses and weights are the same bit for
//! bit. On CUDA, sums into one place (gradients of embeddings and convolutions) may be computed in a
//! different order each time, so that two runs agree closely but not exactly, interrupted or not.
//!
//! On other devices than the CPU no step waits for its device: what a step reports stays there until a report is
//! due, as in [`task::Unread`].

mod adversarial;
mod backbone;
pub mod cache;
pub mod captions;
pub mod checkpoint;
pub mod classifier;
pub mod codes;
pub mod config;
pub mod data;
pub mod difference;
mod discriminator;
pub mod ema;
mod error;
mod evaluation;
mod factor;
mod layer;
pub mod log;
mod micro_batches;
mod mixed;
mod muon;
mod numbers;
pub mod optimiser;
pub mod params;
mod perceptual;
mod pixel_loss;
mod progress;
pub mod random;
mod reports;
mod run;
pub mod schedule;
pub mod sheet;
pub mod task;
mod tokenizer;
#[cfg(test)]
mod toy;

pub use backbone::{Drawing, Lesson, Material, TrainableBackbone, teacher_features, train_backbone};
pub use classifier::{NamedClassifier, check_classifier, is_classifier, train_classifier};
pub use error::{Error, Result};
pub use muon::MuonConfig;
pub use run::{Options, Outcome, Training, train_task};
pub use tokenizer::{Quantised, TrainableTokenizer, train_tokenizer};
