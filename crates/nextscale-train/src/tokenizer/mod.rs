//! Training of tokenizers: reconstruction under pixel, perceptual and adversarial terms, whatever the codes are.

mod fixed;
mod task;
mod terms;
mod trainable;

pub use task::train_tokenizer;
pub use trainable::{Quantised, TrainableTokenizer};
