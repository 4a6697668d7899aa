//! Whether a run can use mixed precision.

use burn::tensor::Device;
use nextscale_core::Dtype;

use crate::{Error, Result};

/// Checks that the device supports `dtype`, so that a run never uses another precision than its config says.
///
/// # Errors
/// [`Error::Setting`] for `dtype`.
pub fn check_dtype(dtype: Dtype, device: &Device) -> Result<()> {
    nextscale_backbones::check_to_train(dtype, device)
        .map_err(|error| Error::setting("dtype", error.to_string()))
}
