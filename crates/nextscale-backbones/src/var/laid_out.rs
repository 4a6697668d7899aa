//! Building a model for generation alone.

use burn::{
    module::Param,
    tensor::{Device, Tensor},
};
use nextscale_core::{Dtype, Error};

use super::{config::VarConfig, keys::Supply, linear::Weight, model::Var};

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
    match (*device == Device::flex(), dtype) {
        (true, _) => Var::build(&mut LaidOut { plain, device, dtype }, config),
        (false, Dtype::F32) => Var::build(&mut plain, config),
        (false, Dtype::Bf16) => Err(unavailable().into()),
    }
}

pub(super) fn unavailable() -> Error {
    Error::Unsupported(
        "this processor has no matrix unit for bfloat16 (AMX-BF16), or the device is not the CPU; compute in f32".into(),
    )
}

/// Supplies what another supplies, but its linear weights laid out: one by one, so that no two models are held.
struct LaidOut<'a, S> {
    plain: S,
    device: &'a Device,
    dtype: Dtype,
}

impl<S> Supply for LaidOut<'_, S>
where
    S: Supply<Error: From<Error>>,
{
    type Error = S::Error;

    fn param<const D: usize>(
        &mut self,
        key: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>, Self::Error> {
        self.plain.param(key, shape)
    }

    fn matrix(&mut self, key: &str, inner: usize, out: usize) -> Result<Weight, Self::Error> {
        let (device, dtype) = (self.device, self.dtype);
        let weight =
            self.plain.rows(key, inner, out, |rows| Weight::lay_out(rows, [out, inner], dtype, device))?;
        weight.ok_or_else(|| unavailable().into())
    }
}
