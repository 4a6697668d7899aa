//! Building a model for generation only.

use burn::tensor::Device;
use nextscale_core::{Dtype, Error, is_cpu};

use super::{
    keys::{Architecture, Reshaped, Supply},
    linear::Weight,
};

/// A model from a supply of plain weights, for generation only: on the CPU its linear layers are packed for
/// products; elsewhere what follows from weights alone is computed once.
pub(crate) fn build<S, A>(plain: S, config: &A, device: &Device, dtype: Dtype) -> Result<A::Model, S::Error>
where
    S: Supply<Error: From<Error>>,
    A: Architecture,
{
    match (is_cpu(device), dtype) {
        (true, _) => {
            // One by one, so that two models are never held at once.
            let matrix = |plain: &mut S, key: &str, inner: usize, out: usize| {
                let weight =
                    plain.rows(key, inner, out, |rows| Weight::lay_out(rows, [out, inner], dtype, device))?;
                weight.ok_or_else(|| unavailable().into())
            };
            config.build(&mut Reshaped { plain, matrix })
        }
        (false, Dtype::F32) => {
            let matrix = |plain: &mut S, key: &str, inner: usize, out: usize| {
                plain.matrix(key, inner, out).map(Weight::still)
            };
            config.build(&mut Reshaped { plain, matrix })
        }
        (false, Dtype::Bf16) => Err(unavailable().into()),
    }
}

pub(crate) fn unavailable() -> Error {
    Error::Unsupported(
        "this processor does not multiply bfloat16 numbers (AMX-BF16 or AVX512-BF16), NEXTSCALE_ROUTE excludes that, or the device is not the CPU; compute in f32".into(),
    )
}
