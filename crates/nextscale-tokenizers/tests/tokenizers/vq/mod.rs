//! The VQ tokenizer compared with upstream's numbers, and properties that hold for any model.

mod batch;
pub mod fixtures;
mod loading;
mod modules;
mod quantizer;
mod resampling;
mod training;
mod vae;
