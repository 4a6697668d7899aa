//! Training of tokenizers and backbones.

pub mod checkpoint;
pub mod data;
pub mod ema;
mod error;
pub mod log;
pub mod optimiser;
mod params;
mod progress;
pub mod random;
mod run;
mod samples;
pub mod schedule;

pub use error::{Error, Result};
pub use run::{Options, Outcome, Training};
