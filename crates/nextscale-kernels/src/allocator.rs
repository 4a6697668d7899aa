//! The C allocator's thresholds, set for large tensors that come and go.

/// Keeps freed memory in the process instead of handing every large tensor back to the kernel.
///
/// glibc serves large blocks by `mmap` and returns them at once, so that every activation of a model faults its pages in
/// anew; that costs more than the arithmetic of an elementwise operation. Call it once, at the start of `main`, before
/// tensors are made. The price is that the process keeps its peak memory. Only glibc on Linux has these settings: elsewhere
/// this does nothing.
pub fn tune() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    crate::raw::keep_freed_memory();
}
