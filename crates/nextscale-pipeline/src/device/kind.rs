use std::fmt::{self, Display};

use burn::tensor::{DType, Device};
use nextscale_core::is_cpu;

/// A kind of device besides the program's own CPU kernels, by burn's name. Each is a cargo feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// NVIDIA GPUs; kernels are compiled by NVRTC.
    Cuda,
    /// AMD GPUs; kernels are compiled by HIPRTC.
    Rocm,
    /// Apple's GPUs.
    Metal,
    /// GPUs with a Vulkan driver; kernels are SPIR-V.
    Vulkan,
    /// GPUs with any graphics driver, software included; kernels are WGSL.
    Wgpu,
    /// LibTorch on the CPU.
    TchCpu,
    /// LibTorch on NVIDIA GPUs.
    TchCuda,
}

impl Kind {
    /// All, the first choice of `auto` first.
    pub const ALL: [Self; 7] =
        [Self::Cuda, Self::Rocm, Self::Metal, Self::Vulkan, Self::Wgpu, Self::TchCuda, Self::TchCpu];

    /// As in `--device`, before the number.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Rocm => "rocm",
            Self::Metal => "metal",
            Self::Vulkan => "vulkan",
            Self::Wgpu => "wgpu",
            Self::TchCpu => "tch:cpu",
            Self::TchCuda => "tch:cuda",
        }
    }

    /// The cargo feature that builds it.
    pub fn feature(self) -> &'static str {
        match self {
            Self::TchCpu | Self::TchCuda => "tch",
            other => other.name(),
        }
    }

    /// Whether this program was built with it.
    pub fn is_built(self) -> bool {
        match self {
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Rocm => cfg!(feature = "rocm"),
            Self::Metal => cfg!(feature = "metal"),
            Self::Vulkan => cfg!(feature = "vulkan"),
            // Vulkan and Metal go by way of wgpu.
            Self::Wgpu => cfg!(any(feature = "wgpu", feature = "vulkan", feature = "metal")),
            Self::TchCpu | Self::TchCuda => cfg!(feature = "tch"),
        }
    }

    /// Whether there can be several on a machine, told apart by numbers.
    pub fn is_numbered(self) -> bool {
        self != Self::TchCpu
    }

    /// This machine's devices of the kind; none if this program was built without it.
    pub fn devices(self) -> Vec<Device> {
        found(self)
    }

    /// The kind of a device; `None` for the program's own kernels on the CPU.
    pub fn of(device: &Device) -> Option<Self> {
        if is_cpu(device) { None } else { identified(device) }
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a device says of itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Description {
    /// Its own name, `NVIDIA H100 PCIe`.
    pub name: Option<String>,
    /// Bytes of its memory; not all drivers tell.
    pub memory: Option<u64>,
    /// The types of floats that it computes with.
    pub types: Vec<&'static str>,
    /// Whether it is a program on the CPU that stands for a GPU.
    pub software: bool,
}

/// What a device says of itself. Opens it, and panics where its driver does.
pub fn describe(device: &Device) -> Description {
    let types = [("f32", DType::F32), ("f16", DType::F16), ("bf16", DType::BF16), ("f64", DType::F64)];
    // The CPU's backend stores other types than this program's kernels compute with.
    let is_taken = |dtype: DType| match (is_cpu(device), dtype) {
        (true, DType::BF16) => nextscale_kernels::rounds(),
        (true, _) => dtype == DType::F32,
        (false, _) => device.supports_dtype(dtype),
    };
    let types = types.into_iter().filter(|(_, dtype)| is_taken(*dtype)).map(|(name, _)| name);
    Description { types: types.collect(), software: is_software(device), ..identity(device) }
}

#[cfg(any(feature = "cuda", feature = "rocm", feature = "metal", feature = "vulkan", feature = "wgpu"))]
mod cube {
    use burn::tensor::{Device, DeviceType};
    use burn_dispatch::{DispatchDevice, devices::CubeDevice};

    use super::{Description, Kind};

    pub fn found(kind: Kind) -> Vec<Device> {
        let asked = match kind {
            #[cfg(feature = "cuda")]
            Kind::Cuda => DeviceType::Cuda,
            #[cfg(feature = "rocm")]
            Kind::Rocm => DeviceType::Rocm,
            #[cfg(feature = "metal")]
            Kind::Metal => DeviceType::Metal,
            #[cfg(feature = "vulkan")]
            Kind::Vulkan => DeviceType::Vulkan,
            #[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
            Kind::Wgpu => DeviceType::Wgpu,
            _ => return Vec::new(),
        };
        Device::enumerate(asked).into_vec()
    }

    fn cube(device: &Device) -> Option<&CubeDevice> {
        fn inside(device: &DispatchDevice) -> Option<&CubeDevice> {
            match device {
                DispatchDevice::Cube(cube) => Some(cube),
                // Derefs to the device below.
                DispatchDevice::Autodiff(device) => inside(device),
                _ => None,
            }
        }
        inside(device.as_dispatch())
    }

    pub fn identified(device: &Device) -> Option<Kind> {
        Some(match cube(device)? {
            CubeDevice::Cuda(_) => Kind::Cuda,
            CubeDevice::Hip(_) => Kind::Rocm,
            CubeDevice::Metal(_) => Kind::Metal,
            #[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
            CubeDevice::Wgpu(device) => match device.backend {
                burn_dispatch::devices::WgpuBackend::Vulkan => Kind::Vulkan,
                burn_dispatch::devices::WgpuBackend::Metal => Kind::Metal,
                _ => Kind::Wgpu,
            },
            _ => return None,
        })
    }

    pub fn identity(device: &Device) -> Description {
        let Some(cube) = cube(device) else { return Description::default() };
        let client = cube.client();
        let properties = client.properties();
        let name = Some(properties.identity.name.clone()).filter(|name| !name.is_empty());
        Description { name, memory: properties.memory.max_memory(), ..Description::default() }
    }

    pub fn is_software(device: &Device) -> bool {
        match cube(device) {
            #[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal"))]
            Some(CubeDevice::Wgpu(device)) => device.kind == burn_dispatch::devices::WgpuDeviceKind::Cpu,
            _ => false,
        }
    }
}

#[cfg(not(any(
    feature = "cuda",
    feature = "rocm",
    feature = "metal",
    feature = "vulkan",
    feature = "wgpu"
)))]
mod cube {
    use burn::tensor::Device;

    use super::{Description, Kind};

    pub fn found(_: Kind) -> Vec<Device> {
        Vec::new()
    }

    pub fn identified(_: &Device) -> Option<Kind> {
        None
    }

    pub fn identity(_: &Device) -> Description {
        Description::default()
    }

    pub fn is_software(_: &Device) -> bool {
        false
    }
}

#[cfg(feature = "tch")]
mod tch {
    use burn::tensor::{Device, DeviceType};
    use burn_dispatch::{DispatchDevice, devices::LibTorchDevice};

    use super::Kind;

    /// That of LibTorch's CPU, or its GPUs; burn lists GPUs only.
    #[allow(deprecated)] // burn means to drop LibTorch.
    pub fn found(kind: Kind) -> Vec<Device> {
        match kind {
            Kind::TchCpu => vec![Device::libtorch()],
            Kind::TchCuda => {
                let mut devices = Device::enumerate(DeviceType::LibTorch).into_vec();
                devices.retain(|device| identified(device) == Some(Kind::TchCuda));
                devices
            }
            _ => Vec::new(),
        }
    }

    pub fn identified(device: &Device) -> Option<Kind> {
        fn inside(device: &DispatchDevice) -> Option<Kind> {
            match device {
                DispatchDevice::LibTorch(LibTorchDevice::Cuda(_)) => Some(Kind::TchCuda),
                DispatchDevice::LibTorch(_) => Some(Kind::TchCpu),
                DispatchDevice::Autodiff(device) => inside(device),
                _ => None,
            }
        }
        inside(device.as_dispatch())
    }
}

#[cfg(not(feature = "tch"))]
mod tch {
    use burn::tensor::Device;

    use super::Kind;

    pub fn found(_: Kind) -> Vec<Device> {
        Vec::new()
    }

    pub fn identified(_: &Device) -> Option<Kind> {
        None
    }
}

use cube::identity;
pub(super) use cube::is_software;

fn found(kind: Kind) -> Vec<Device> {
    match kind {
        Kind::TchCpu | Kind::TchCuda => tch::found(kind),
        _ => cube::found(kind),
    }
}

fn identified(device: &Device) -> Option<Kind> {
    cube::identified(device).or_else(|| tch::identified(device))
}
