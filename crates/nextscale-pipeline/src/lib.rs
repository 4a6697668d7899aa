//! RON config to images: registry, traces, images, run folders, device choice, measuring what a run costs.

pub mod bench;
pub mod calibration;
pub mod config;
pub mod device;
pub mod images;
pub mod progress;
pub mod reconstruct;
pub mod registry;
pub mod run;
mod trace;
mod trace_spec;
pub mod version;

pub use config::{Config, Prepared};
pub use nextscale_families::{Error, Result};
pub use registry::Registry;
pub use run::{RunOptions, Summary, Worker, merge, run, run_shard};
pub use trace::Trace;
pub use trace_spec::{TraceDtype, TraceField, TraceSpec, numbers};

#[doc(no_inline)]
pub use nextscale_families::{LoadOptions, ModelFamily, ModelSource, OpenModel};
#[doc(no_inline)]
pub use nextscale_generate::{Batch, Generator, Model, Stop};
