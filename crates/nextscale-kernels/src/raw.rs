//! Every `unsafe` block of the crate, each with its reason.

#![allow(unsafe_code)]

/// `M_TRIM_THRESHOLD` and `M_MMAP_THRESHOLD` at their largest: see [`crate::allocator::tune`].
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep_freed_memory() {
    // SAFETY: `mallopt` takes two integers and changes only the allocator's own settings, under its lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, libc::c_int::MAX);
        libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX);
    }
}
