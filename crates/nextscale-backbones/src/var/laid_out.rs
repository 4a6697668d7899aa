//! Building a model for generation alone.

use burn::tensor::Device;
use nextscale_core::{Dtype, Error, is_cpu};

use super::{
    config::VarConfig,
    keys::{Reshaped, Supply},
    linear::Weight,
    model::Var,
};

/// A model from a supply of plain weights, for generation alone: on the CPU its linear layers are laid out for the products there.
pub(super) fn build<S>(
    mut plain: S,
    config: &VarConfig,
    device: &Device,
    dtype: Dtype,
) -> Result<Var, S::Error>
where
    S: Supply<Error: From<Error>>,
{
    match (is_cpu(device), dtype) {
        (true, _) => {
            // One by one, so that no two models are held.
            let matrix = |plain: &mut S, key: &str, inner: usize, out: usize| {
                let weight =
                    plain.rows(key, inner, out, |rows| Weight::lay_out(rows, [out, inner], dtype, device))?;
                weight.ok_or_else(|| unavailable().into())
            };
            Var::build(&mut Reshaped { plain, matrix }, config)
        }
        (false, Dtype::F32) => Var::build(&mut plain, config),
        (false, Dtype::Bf16) => Err(unavailable().into()),
    }
}

pub(super) fn unavailable() -> Error {
    Error::Unsupported(
        "this processor does not multiply bfloat16 numbers (AMX-BF16 or AVX512-BF16), or the device is not the CPU; compute in f32".into(),
    )
}
