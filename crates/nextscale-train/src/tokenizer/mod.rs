//! Training of tokenizers: reconstruction with pixel, perceptual and adversarial terms, for any
//! kind of codes.

mod fixed;
mod task;
mod terms;
mod trainable;

pub use task::train_tokenizer;
pub use trainable::{Quantised, TrainableTokenizer};
