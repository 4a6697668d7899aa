//! Text encoders in their published formats: prompts to tokens to rows of embeddings.
//!
//! [`TextEncoder::open`] reads headers and the vocabulary, and checks that they belong together.
//! [`TextEncoder::encode`] loads the weights, encodes all prompts of a run at once and frees the weights
//! again. A backbone is conditioned on the resulting [`TextRows`]:
//!
//! ```no_run
//! use burn::tensor::Device;
//! use nextscale_text::{TextCache, TextEncoder};
//!
//! # fn main() -> nextscale_text::Result<()> {
//! let encoder = TextEncoder::open("flan-t5-xl", "flan-t5-xl/tokenizer.json")?;
//! let cache = TextCache::open("text-cache")?;
//! let prompts = ["a red truck", "a blue ship"];
//! let encoded = encoder.encode(&prompts, &Device::flex(), Some(&cache), &mut |_, _| {})?;
//! for warning in &encoded.warnings {
//!     eprintln!("{warning}");
//! }
//! let conditions = encoded.rows.batch(&prompts, &Device::flex())?;
//! # Ok(())
//! # }
//! ```
//!
//! A language model encodes prompts too ([`PaddedEncoder`], Qwen2): padded to one length, possibly after a
//! system prompt, and with rows for the padding.
//!
//! A small encoder that is trained together with its backbone is also a [`T5`]: [`T5Config::init`] creates
//! one and [`word_level`] its vocabulary.

mod cache;
mod character_map;
mod encoder;
mod error;
mod linear;
mod padded;
mod prompt_file;
mod prompt_tokenizer;
mod qwen2;
mod rows;
mod sentencepiece;
mod t5;
mod warning;
mod word_level;

pub use cache::TextCache;
pub use encoder::{Encoded, TextEncoder};
pub use error::{Error, Result};
pub use padded::{PaddedEncoded, PaddedEncoder, PaddedRows, PaddedTokenizer, PaddedTokens};
pub use prompt_file::read_prompts;
pub use prompt_tokenizer::{MAX_TOKENS, PromptTokenizer, Tokens};
pub use qwen2::{Qwen2, Qwen2Config};
pub use rows::TextRows;
pub use t5::{Named, T5, T5Config, bucket};
pub use warning::Warning;
pub use word_level::word_level;
