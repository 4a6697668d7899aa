//! The diffusion head: a continuous residual for every token of the last scale, each sampled by itself from
//! the transformer's hidden state (as in "Autoregressive Image Generation without Vector Quantization",
//! NeurIPS 2024).

mod net;
mod sampler;
mod schedule;

pub use net::ResidualNet;
pub use sampler::ResidualHead;
pub use schedule::{DiffusionSchedule, Step};
