//! RON config to images: the loop, samplers, randomness, registry, traces, images, run folders, shipped models.

pub mod bench;
pub mod calibration;
pub mod config;
pub mod device;
pub mod edit;
mod error;
mod finite;
mod generate;
mod host;
pub mod images;
pub mod observe;
pub mod random;
pub mod reconstruct;
pub mod registry;
pub mod run;
pub mod sampler;
pub mod shipped;
mod stop;
mod trace;
pub mod version;

pub use config::{Config, Prepared};
pub use error::{Error, Result};
pub use generate::{Batch, Generator, Model};
pub use registry::Registry;
pub use run::{RunOptions, Summary, run};
pub use stop::Stop;
pub use trace::Trace;
