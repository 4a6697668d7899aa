//! The only place where a device is chosen. `Device::default()` is never used: it depends on cargo features.

mod kind;
pub mod verified;

pub use kind::{Description, Kind, describe};

use std::{fmt::Display, str::FromStr};

use burn::tensor::Device;
use nextscale_core::Dtype;

use crate::{Error, Result};

/// A device as a user names it: `auto`, `cpu`, `cuda`, `cuda:1`, `vulkan:0`, `tch:cpu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first GPU, or the CPU if there is none.
    Auto,
    /// The CPU, by this program's own kernels.
    #[default]
    Cpu,
    /// A device of a kind: by its number, or that of this process, which is the first, or that of its number
    /// among the processes of the machine ([`of_rank`](Self::of_rank)).
    Of(Kind, Option<usize>),
}

/// The name of a device, its arithmetic and its type in the identity of images, which depend on all three: `cuda`,
/// `cpu, avx512`, `cpu, fma`, `cpu, amx, bf16`.
pub fn kind(device: &Device, dtype: Dtype) -> String {
    match Kind::of(device) {
        Some(kind) => named(kind, dtype),
        None => named(format_args!("cpu, {}", arithmetic(device, dtype)), dtype),
    }
}

/// The name of a device and type without its arithmetic: `cuda`, `cpu`, `cpu, bf16`.
pub fn kind_and_type(device: &Device, dtype: Dtype) -> String {
    named(Kind::of(device).map_or("cpu", Kind::name), dtype)
}

/// What the last digits depend on besides: the CPU's route, as `NEXTSCALE_ROUTE` takes it (`avx512`, `fma`), or the
/// kind of another device.
pub fn arithmetic(device: &Device, dtype: Dtype) -> &'static str {
    Kind::of(device).map_or_else(|| nextscale_kernels::arithmetic(dtype == Dtype::Bf16), Kind::name)
}

/// What the device computes with, in words: `avx512, tiles`.
pub fn route(device: &Device) -> String {
    Kind::of(device).map_or_else(nextscale_kernels::route, |kind| kind.name().into())
}

/// A device with its type, unless that is f32: `cuda:1`, `cpu, bf16`.
pub fn named(device: impl Display, dtype: Dtype) -> String {
    match dtype {
        Dtype::F32 => device.to_string(),
        Dtype::Bf16 | Dtype::F16 => format!("{device}, {dtype}"),
    }
}

/// The names that `--device` knows.
pub const NAMES: &str =
    "auto, cpu, cuda, rocm, metal, vulkan or wgpu (cuda:1 for the second), tch:cpu or tch:cuda";

impl FromStr for DeviceChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let of_kind = || {
            // `cuda` is not a prefix of another name, but `tch` is one of two.
            Kind::ALL.into_iter().find_map(|kind| match text.strip_prefix(kind.name())? {
                "" => Some(Self::Of(kind, None)),
                number if kind.is_numbered() => {
                    Some(Self::Of(kind, Some(number.strip_prefix(':')?.parse().ok()?)))
                }
                _ => None,
            })
        };
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            _ => of_kind().ok_or_else(|| Error::Device(format!("unknown device `{text}`; use {NAMES}"))),
        }
    }
}

impl Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Of(kind, None) => write!(f, "{kind}"),
            Self::Of(kind, Some(index)) => write!(f, "{kind}:{index}"),
        }
    }
}

impl DeviceChoice {
    /// The choice, with `auto` resolved to an available device, and a kind to its first.
    pub fn decide(self) -> Self {
        match self {
            Self::Auto => first_gpu().map_or(Self::Cpu, |(kind, index)| Self::Of(kind, Some(index))),
            Self::Of(kind, None) if kind.is_numbered() => Self::Of(kind, Some(0)),
            other => other,
        }
    }

    /// The choice of a process with this number among those of its machine: each gets a device of its own,
    /// unless it sees only one or names one.
    ///
    /// # Errors
    /// If there are fewer devices than processes.
    pub fn of_rank(self, local: Option<usize>) -> Result<Self> {
        let kind = match self {
            _ if local.is_none() => None,
            Self::Auto => first_gpu().map(|(kind, _)| kind),
            Self::Of(kind, None) => Some(kind),
            Self::Cpu | Self::Of(_, Some(_)) => None,
        };
        kind.map_or(Ok(self), |kind| self.among(local, kind, kind.devices().len()))
    }

    fn among(self, local: Option<usize>, kind: Kind, devices: usize) -> Result<Self> {
        match local {
            // A launcher that shows each process one device has chosen already.
            Some(local) if devices > 1 => {
                if local < devices {
                    return Ok(Self::Of(kind, Some(local)));
                }
                Err(Error::Device(format!(
                    "this is process {local} of its machine, counted from 0, and {devices} {kind} devices are visible; start \
                     one process for each device, or name one with --device {kind}:N"
                )))
            }
            _ => Ok(self),
        }
    }

    /// The device.
    ///
    /// # Errors
    /// If it does not exist; the message lists the available devices. If this program was built without its
    /// feature; the message has the command that builds it. For the CPU if the environment variable
    /// `NEXTSCALE_ROUTE` names instructions that it does not have.
    pub fn open(self) -> Result<Device> {
        let decided = self.decide();
        let Self::Of(kind, index) = decided else {
            nextscale_kernels::check_route().map_err(Error::Device)?;
            return Ok(Device::flex());
        };
        kind.devices().into_iter().nth(index.unwrap_or(0)).ok_or_else(|| {
            let built = if kind.is_built() {
                String::new()
            } else {
                let feature = kind.feature();
                format!(
                    ", because this program was built without the feature `{feature}`: in nextscale's folder, \
                     cargo install --path . --features {feature}"
                )
            };
            Error::Device(format!(
                "there is no device {decided}{built}; available: {}",
                available().join(", ")
            ))
        })
    }

    /// What a user should know of the device before it computes in a type: what `auto` took, and that `selfcheck` has
    /// not passed on it. Nothing for a CPU that was asked for.
    pub fn remark(self, dtype: Dtype) -> Option<String> {
        let decided = self.decide();
        let Self::Of(..) = decided else {
            return (self == Self::Auto).then(|| "auto took cpu: no GPU was found".into());
        };
        // What is wrong with it is told where it is opened to compute.
        let name = describe(&decided.open().ok()?).name.unwrap_or_default();
        let taken = match self {
            Self::Auto => format!("auto took {decided} ({name}); "),
            _ => String::new(),
        };
        let device = named(decided, dtype);
        let verified = verified::file().is_some_and(|file| verified::is_verified(&file, &device, &name));
        match verified {
            true if taken.is_empty() => None,
            true => Some(format!("{taken}selfcheck has passed on it")),
            false => {
                let option = match dtype {
                    Dtype::F32 => String::new(),
                    _ => format!(" --dtype {dtype}"),
                };
                Some(format!(
                    "{taken}{device} has not been verified on this machine; do so with: nextscale selfcheck --device \
                     {decided}{option}"
                ))
            }
        }
    }
}

/// The kind and number of the first GPU; a program that stands for one is slower than the CPU's kernels.
fn first_gpu() -> Option<(Kind, usize)> {
    Kind::ALL.into_iter().filter(|kind| kind.feature() != "tch").find_map(|kind| {
        let index = kind.devices().iter().position(|device| !kind::is_software(device))?;
        Some((kind, index))
    })
}

/// This machine's devices: how each is named, its kind (`None` for the CPU's own kernels), and itself.
pub fn all() -> Vec<(DeviceChoice, Option<Kind>, Device)> {
    let mut all = vec![(DeviceChoice::Cpu, None, Device::flex())];
    for kind in Kind::ALL {
        let devices = kind.devices().into_iter().enumerate();
        all.extend(devices.map(|(index, device)| {
            let choice = DeviceChoice::Of(kind, kind.is_numbered().then_some(index));
            (choice, Some(kind), device)
        }));
    }
    all
}

/// The names of this machine's devices.
pub fn available() -> Vec<String> {
    all().into_iter().map(|(choice, ..)| choice.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike() {
        for name in [
            "auto",
            "cpu",
            "cuda",
            "cuda:0",
            "rocm:3",
            "metal",
            "vulkan:1",
            "wgpu:0",
            "tch:cpu",
            "tch:cuda:1",
        ] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        let decided = |name: &str| name.parse::<DeviceChoice>().unwrap().decide().to_string();
        assert_eq!(
            (decided("cuda"), decided("tch:cuda"), decided("tch:cpu")),
            ("cuda:0".into(), "tch:cuda:0".into(), "tch:cpu".into())
        );
    }

    #[test]
    fn each_process_of_a_machine_gets_its_device_unless_it_sees_one() {
        for choice in [DeviceChoice::Auto, DeviceChoice::Of(Kind::Rocm, None)] {
            let among = |local, devices| choice.among(local, Kind::Rocm, devices);
            assert_eq!(among(Some(2), 4).unwrap(), DeviceChoice::Of(Kind::Rocm, Some(2)));
            for (local, devices) in [(Some(2), 1), (None, 4), (Some(2), 0)] {
                assert_eq!(among(local, devices).unwrap(), choice);
            }
            let error = among(Some(4), 4).unwrap_err().to_string();
            assert!(error.contains("process 4") && error.contains("4 rocm devices"), "{error}");
        }
        for named in [DeviceChoice::Cpu, DeviceChoice::Of(Kind::Cuda, Some(1))] {
            assert_eq!(named.of_rank(Some(9)).unwrap(), named);
        }
    }

    #[test]
    fn the_route_and_the_name_of_the_cpu_are_its_kernels() {
        let cpu = Device::flex();
        assert_eq!(route(&cpu), nextscale_kernels::route());
        let [f32, bf16] = [Dtype::F32, Dtype::Bf16].map(|dtype| arithmetic(&cpu, dtype));
        assert_eq!(f32, nextscale_kernels::arithmetic(false));
        assert_eq!(
            (kind(&cpu, Dtype::F32), kind(&cpu.clone().autodiff(), Dtype::Bf16)),
            (format!("cpu, {f32}"), format!("cpu, {bf16}, bf16"))
        );
        assert_eq!(
            (kind_and_type(&cpu, Dtype::F32), kind_and_type(&cpu, Dtype::Bf16)),
            ("cpu".into(), "cpu, bf16".into())
        );
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        for name in ["gpu", "cuda:x", "cuda:", "CPU", "cudas", "tch", "tch:cpu:0", "cuda:-1"] {
            let error = name.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(NAMES), "{error}");
        }
        for kind in Kind::ALL {
            assert!(NAMES.contains(kind.name()), "{kind}");
        }
    }

    #[test]
    fn a_missing_device_is_answered_with_those_that_are_there_and_with_the_feature() {
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_numbered()) {
            let error = DeviceChoice::Of(kind, Some(99)).open().unwrap_err().to_string();
            assert!(
                error.contains(&format!("no device {kind}:99")) && error.contains("available: cpu"),
                "{error}"
            );
            let command = format!("cargo install --path . --features {}", kind.feature());
            assert_eq!(error.contains(&command), !kind.is_built(), "{error}");
        }
    }

    #[test]
    fn every_kind_is_a_cargo_feature_of_this_crate_and_of_the_program() {
        for manifest in [include_str!("../../Cargo.toml"), include_str!("../../../../Cargo.toml")] {
            for kind in Kind::ALL {
                assert!(manifest.contains(&format!("\n{} = [", kind.feature())), "{kind}");
            }
        }
    }

    #[test]
    fn the_cpu_is_always_there_and_first_and_needs_no_remark() {
        let cpu = DeviceChoice::Cpu;
        assert_eq!((Kind::of(&cpu.open().unwrap()), cpu.remark(Dtype::F32)), (None, None));
        assert_eq!(all()[0].0, cpu);
        let types = if nextscale_kernels::rounds() { vec!["f32", "bf16"] } else { vec!["f32"] };
        assert_eq!(describe(&Device::flex()).types, types);
    }

    #[test]
    fn auto_tells_what_it_took() {
        let told = DeviceChoice::Auto.remark(Dtype::F32).unwrap();
        assert!(told.contains(&DeviceChoice::Auto.decide().to_string()), "{told}");
    }
}
