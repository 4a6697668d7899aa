//! What `cubecl-cuda` and `cubecl-hip` name of CubeCL's LLVM backend, without LLVM. The README says why.

use std::{ffi::c_char, fmt};

use cubecl_environment::backtrace::BackTrace;
use cubecl_ir::{amd::GfxArch, attributes::BufferIOAttr, nvidia::SmArch};
use cubecl_runtime::{compiler::CompilationError, kernel::KernelDefinition};

/// What kernels would be compiled for.
#[derive(Clone, Copy, Debug)]
pub enum LlvmTarget {
    /// NVIDIA GPUs, by way of PTX.
    Nvptx,
    /// AMD GPUs.
    AmdGpu,
}

/// The compiler; it compiles nothing.
#[derive(Clone, Debug)]
pub struct PlironCompiler {
    /// What it would compile for.
    pub target: LlvmTarget,
}

impl PlironCompiler {
    /// Refuses.
    ///
    /// # Errors
    /// Always.
    pub fn compile(
        &mut self,
        _: KernelDefinition,
        _: &PlironOptions,
    ) -> Result<PlironArtifact, CompilationError> {
        Err(CompilationError::Generic {
            reason: "this program has no LLVM: build it with the features `cuda-cpp` and `hip-cpp` of cubecl".into(),
            backtrace: BackTrace::capture(),
        })
    }

    /// The name of the language it would write.
    pub fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}

/// How a kernel would be compiled.
#[derive(Debug, Default)]
pub struct PlironOptions {
    /// An AMD device's architecture.
    pub arch: Option<GfxArch>,
    /// The device's compute capability.
    pub sm_arch: Option<SmArch>,
    /// The PTX version to write.
    pub ptx_version: Option<nvptx::ptx_version::PtxVersion>,
    /// Whether scalars come in the kernel's parameter block.
    pub grid_constants: bool,
}

/// A compiled kernel; none is ever made.
pub enum PlironArtifact {
    /// PTX.
    NvptxCode(NvptxModule),
    /// A code object.
    AmdGpuCode(AmdGpuModule),
}

/// A kernel for AMD GPUs; none is ever made.
#[derive(Clone, Debug)]
pub struct AmdGpuModule {
    /// What the driver loads.
    pub code_object: Vec<u8>,
    /// The text for logs.
    pub ir: String,
    /// The shared memory of a launch, in bytes.
    pub shared_memory_size: usize,
    /// How each buffer is accessed.
    pub io: Vec<BufferIOAttr>,
}

/// A kernel as PTX; none is ever made.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// The assembly, ending in NUL.
    pub ptx: Vec<c_char>,
    /// The text for logs.
    pub ir: String,
    /// The shared memory of a launch, in bytes.
    pub shared_memory_size: usize,
    /// How each buffer is accessed.
    pub io: Vec<BufferIOAttr>,
}

/// What is particular to NVIDIA GPUs.
pub mod nvptx {
    /// Versions of PTX.
    pub mod ptx_version {
        use super::super::fmt;

        /// A version of PTX; none is ever chosen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct PtxVersion(std::convert::Infallible);

        impl PtxVersion {
            /// None: only the LLVM backend asks for one. NVRTC chooses for itself.
            pub fn for_driver(_: i32) -> Option<Self> {
                None
            }
        }

        impl fmt::Display for PtxVersion {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {}
            }
        }
    }
}

/// What the targets share.
pub mod shared {
    /// What a device offers, as far as LLVM could use it.
    pub mod lowered_features {
        use cubecl_ir::{DeviceProperties, amd::AmdWmma};

        /// What kernels would be compiled for.
        pub enum GpuTarget {
            /// NVIDIA GPUs.
            Nvptx,
            /// AMD GPUs.
            AmdGpu {
                /// The generation of its matrix instructions.
                wmma: Option<AmdWmma>,
            },
        }

        /// Leaves everything: it is asked only where LLVM compiles, and there no kernel comes to be.
        pub fn restrict_features(_: &mut DeviceProperties, _: GpuTarget) {}
    }
}
