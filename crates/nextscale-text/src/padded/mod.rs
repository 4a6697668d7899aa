//! Prompts of one length: with padding, whose rows are used too.

mod encoder;
mod rows;
mod tokenizer;

pub use encoder::{PaddedEncoded, PaddedEncoder};
pub use rows::PaddedRows;
pub use tokenizer::{PaddedTokenizer, PaddedTokens};
