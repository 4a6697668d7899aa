//! Building a model that trains in mixed precision.

use burn::tensor::Device;
use nextscale_core::Error;

use super::{
    config::VarConfig,
    keys::{Reshaped, Supply},
    laid_out::unavailable,
    linear::Weight,
    model::Var,
};

/// A model from a supply of plain weights, whose linear layers multiply in bfloat16.
pub(super) fn build<S>(plain: S, config: &VarConfig, device: &Device) -> Result<Var, Error>
where
    S: Supply<Error: Into<Error>>,
{
    let host = [Device::flex(), Device::flex().autodiff()].contains(device);
    if !(host && nextscale_kernels::rounds()) {
        return Err(unavailable());
    }
    let matrix = |plain: &mut S, key: &str, inner: usize, out: usize| {
        Ok(match plain.matrix(key, inner, out)? {
            Weight::Plain(weight) => Weight::Mixed(weight),
            other => other,
        })
    };
    Var::build(&mut Reshaped { plain, matrix }, config).map_err(Into::into)
}
