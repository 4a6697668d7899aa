//! Tokenizers compared with upstream's numbers, and properties that hold for any model.

mod bitwise;
mod finite;
mod hybrid;
mod support;
mod vq;
