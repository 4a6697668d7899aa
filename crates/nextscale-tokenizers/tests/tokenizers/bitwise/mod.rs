//! The bitwise tokenizer.

mod batch;
mod fixtures;
mod generation;
mod loading;
mod training;
