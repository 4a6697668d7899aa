//! The bitwise tokenizer.

mod batch;
pub mod fixtures;
mod generation;
mod loading;
mod training;
