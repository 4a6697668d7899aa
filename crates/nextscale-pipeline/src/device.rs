//! The only place where a device is chosen. `Device::default()` is never used: it depends on cargo features.

use std::{fmt::Display, str::FromStr};

use burn::tensor::Device;
use nextscale_core::{Dtype, is_cpu};

use crate::{Error, Result};

/// A device as a user names it: `auto`, `cpu`, `cuda` or `cuda:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// CUDA if there is a device, otherwise the CPU.
    Auto,
    /// The CPU.
    #[default]
    Cpu,
    /// A CUDA device by its index.
    Cuda(usize),
    /// The CUDA device of this process: the first, or that of its number among the processes of the machine
    /// ([`of_rank`](Self::of_rank)).
    AnyCuda,
}

/// The name of a device and type in the identity of images, which depend on both: `cpu`, `cuda`, `cpu, bf16`.
pub fn kind(device: &Device, dtype: Dtype) -> String {
    named(if is_cpu(device) { "cpu" } else { "cuda" }, dtype)
}

/// What the device computes with, in words. Devices of one kind and one route give the same images, bit for
/// bit; on another route they may differ in the last digits.
pub fn route(device: &Device) -> String {
    if is_cpu(device) { nextscale_kernels::route() } else { "cuda".into() }
}

/// A device with its type, unless that is f32: `cuda:1`, `cpu, bf16`.
pub fn named(device: impl Display, dtype: Dtype) -> String {
    match dtype {
        Dtype::F32 => device.to_string(),
        Dtype::Bf16 => format!("{device}, {dtype}"),
    }
}

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::AnyCuda),
            _ => text.strip_prefix("cuda:").and_then(|index| index.parse().ok()).map(Self::Cuda).ok_or_else(
                || Error::Device(format!("unknown device `{text}`; use auto, cpu, cuda or cuda:N")),
            ),
        }
    }
}

impl Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::AnyCuda => f.write_str("cuda"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl DeviceChoice {
    /// The choice, with `auto` resolved to an available device.
    pub fn decide(self) -> Self {
        match self {
            Self::Auto if cuda_devices() > 0 => Self::Cuda(0),
            Self::Auto => Self::Cpu,
            Self::AnyCuda => Self::Cuda(0),
            other => other,
        }
    }

    /// The choice of a process with this number among those of its machine: each gets a device of its own,
    /// unless it sees only one or names one.
    ///
    /// # Errors
    /// If there are fewer devices than processes.
    pub fn of_rank(self, local: Option<usize>) -> Result<Self> {
        self.among(local, cuda_devices())
    }

    fn among(self, local: Option<usize>, devices: usize) -> Result<Self> {
        let Some(local) = local else { return Ok(self) };
        match self {
            // A launcher that shows each process one device has chosen already.
            Self::Auto | Self::AnyCuda if devices > 1 => {
                if local < devices {
                    return Ok(Self::Cuda(local));
                }
                Err(Error::Device(format!(
                    "this is process {local} of its machine, counted from 0, and {devices} CUDA devices are visible; start \
                     one process for each device, or name one with --device cuda:N"
                )))
            }
            other => Ok(other),
        }
    }

    /// The device.
    ///
    /// # Errors
    /// If it does not exist; the message lists the available devices. For the CPU also if the environment
    /// variable `NEXTSCALE_ROUTE` names instructions that it does not have.
    pub fn open(self) -> Result<Device> {
        let Self::Cuda(index) = self.decide() else {
            nextscale_kernels::check_route().map_err(Error::Device)?;
            return Ok(Device::flex());
        };
        cuda(index).ok_or_else(|| {
            let built = if cfg!(feature = "cuda") {
                ""
            } else {
                " (this program was built without the `cuda` feature)"
            };
            Error::Device(format!(
                "there is no device cuda:{index}{built}; there is: {}",
                available().join(", ")
            ))
        })
    }
}

/// The names of this machine's devices.
pub fn available() -> Vec<String> {
    std::iter::once("cpu".into()).chain((0..cuda_devices()).map(|index| format!("cuda:{index}"))).collect()
}

#[cfg(feature = "cuda")]
fn cuda_devices() -> usize {
    use burn::tensor::DeviceType;
    Device::enumerate(DeviceType::Cuda).into_vec().len()
}

#[cfg(not(feature = "cuda"))]
fn cuda_devices() -> usize {
    0
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Option<Device> {
    (index < cuda_devices()).then(|| Device::cuda(index))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> Option<Device> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike() {
        for name in ["auto", "cpu", "cuda:0", "cuda:3"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap().decide(), DeviceChoice::Cuda(0));
    }

    #[test]
    fn each_process_of_a_machine_gets_its_device_unless_it_sees_one() {
        let auto = DeviceChoice::Auto;
        for choice in [auto, DeviceChoice::AnyCuda] {
            assert_eq!(choice.among(Some(2), 4).unwrap(), DeviceChoice::Cuda(2));
            for (local, devices) in [(Some(2), 1), (None, 4), (Some(2), 0)] {
                assert_eq!(choice.among(local, devices).unwrap(), choice);
            }
            let error = choice.among(Some(4), 4).unwrap_err().to_string();
            assert!(error.contains("process 4") && error.contains("4 CUDA devices"), "{error}");
        }
        for named in [DeviceChoice::Cpu, DeviceChoice::Cuda(1)] {
            assert_eq!(named.among(Some(9), 4).unwrap(), named);
        }
    }

    #[test]
    fn the_route_of_the_cpu_is_that_of_its_kernels() {
        assert_eq!(route(&Device::flex()), nextscale_kernels::route());
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        for name in ["gpu", "cuda:x", "cuda:", "CPU"] {
            let error = name.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("cuda:N"), "{error}");
        }
    }

    #[test]
    fn a_missing_device_is_answered_with_those_that_are_there() {
        let error = DeviceChoice::Cuda(99).open().unwrap_err().to_string();
        assert!(error.contains("no device cuda:99") && error.contains("there is: cpu"), "{error}");
    }

    #[test]
    fn the_cpu_is_always_there() {
        assert!(is_cpu(&DeviceChoice::Cpu.open().unwrap()));
    }
}
