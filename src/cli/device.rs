//! `--device`, as every command that computes has it.

use crate::core::Dtype;
use crate::pipeline::device::DeviceChoice;

/// Where to compute.
#[derive(Debug, clap::Args)]
pub struct DeviceArgs {
    /// Where to compute: auto, cpu, cuda or cuda:N. `auto` takes CUDA where there is one
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: DeviceChoice,
}

/// `--dtype`, as the commands that generate have it.
#[derive(Debug, clap::Args)]
pub struct DtypeArgs {
    /// What the transformer's linear layers and the decoder's convolutions multiply: f32, or bf16 where the processor multiplies such numbers
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub dtype: Dtype,
}
