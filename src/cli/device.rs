//! `--device`, as every command that computes has it.

use nextscale::pipeline::device::DeviceChoice;

/// Where to compute.
#[derive(Debug, clap::Args)]
pub struct DeviceArgs {
    /// Where to compute: auto, cpu, cuda or cuda:N. `auto` takes CUDA where there is one
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: DeviceChoice,
}
