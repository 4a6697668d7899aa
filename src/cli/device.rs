//! `--device`, shared by every command that computes.

use crate::core::Dtype;
use crate::pipeline::device::DeviceChoice;

/// Where to compute.
#[derive(Debug, clap::Args)]
pub struct DeviceArgs {
    /// Where to compute: auto, cpu, cuda, rocm, metal, vulkan or wgpu (cuda:1 for the second), tch:cpu or tch:cuda.
    /// `auto` takes the first GPU, or the CPU if there is none; `nextscale devices` lists what is there
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: DeviceChoice,
}

/// `--dtype`, shared by the commands that generate.
#[derive(Debug, clap::Args)]
pub struct DtypeArgs {
    /// The type in which the backbone's linear layers and attention and the decoder's convolutions multiply: f32, bf16 (on
    /// the CPU with AMX or AVX512-BF16 only), or f16 (not on the CPU). On a GPU their weights, keys and values have it, too;
    /// `nextscale devices` lists the types of each
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub dtype: Dtype,
}
