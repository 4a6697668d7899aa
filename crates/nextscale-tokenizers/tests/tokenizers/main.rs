//! Tokenizers against upstream's numbers, and what must hold of any model.

mod bitwise;
mod support;
mod vq;
