//! Whether a run can use mixed precision.

use burn::tensor::Device;
use nextscale_core::{Dtype, is_cpu};

use crate::{Error, Result};

/// Checks that the device supports `dtype`, so that a run never uses another precision than its config says.
///
/// # Errors
/// [`Error::Setting`] for `dtype`.
pub fn check_dtype(dtype: Dtype, device: &Device) -> Result<()> {
    if dtype == Dtype::F32 || (is_cpu(device) && nextscale_kernels::rounds()) {
        return Ok(());
    }
    let message = "this processor does not multiply bfloat16 numbers (AMX-BF16 or AVX512-BF16), NEXTSCALE_ROUTE excludes that, or the device is not the CPU; train in f32";
    Err(Error::setting("dtype", message))
}
