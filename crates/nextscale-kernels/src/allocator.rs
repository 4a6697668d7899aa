//! The C allocator's thresholds, set for large short-lived tensors.

/// Keeps freed memory in the process instead of returning every large tensor to the kernel.
///
/// glibc allocates large blocks with `mmap` and returns them at once, so every activation of a model faults
/// its pages in again, which costs more than the arithmetic of an elementwise operation. Call this once, at
/// the start of `main`, before creating tensors. The price is that the process keeps its peak memory. Does
/// nothing except with glibc on Linux.
pub fn tune() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    crate::raw::keep_freed_memory();
}
