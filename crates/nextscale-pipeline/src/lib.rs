//! RON config to images: the loop, samplers, randomness, registry, traces, images, run folders, shipped models.

pub mod bench;
pub mod calibration;
pub mod config;
pub mod device;
mod error;
pub mod images;
pub mod reconstruct;
pub mod registry;
pub mod run;
pub mod shipped;
mod trace;
pub mod version;

pub use config::{Config, Prepared};
pub use error::{Error, Result};
pub use registry::Registry;
pub use run::{RunOptions, Summary, run};
pub use trace::Trace;

#[doc(no_inline)]
pub use nextscale_generate::{Batch, Generator, Model, Stop};
