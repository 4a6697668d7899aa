//! The VQ tokenizer against upstream's numbers, and what must hold of any model.

mod batch;
pub mod fixtures;
mod loading;
mod modules;
mod quantizer;
mod resampling;
mod training;
mod vae;
