//! Building a model to train.

use burn::tensor::Device;
use nextscale_core::{Dtype, Error, is_cpu};

use super::{
    config::VarConfig,
    keys::{Reshaped, Supply},
    laid_out::unavailable,
    linear::Weight,
    model::Var,
};

/// A model from a supply of plain weights; in bf16 its linear layers and attention multiply in mixed precision.
pub(super) fn build<S>(
    mut plain: S,
    config: &VarConfig,
    device: &Device,
    dtype: Dtype,
) -> Result<Var, S::Error>
where
    S: Supply<Error: From<Error>>,
{
    if dtype == Dtype::F32 {
        return Var::build(&mut plain, config);
    }
    if !(is_cpu(device) && nextscale_kernels::rounds()) {
        return Err(unavailable().into());
    }
    let matrix = |plain: &mut S, key: &str, inner: usize, out: usize| {
        Ok(match plain.matrix(key, inner, out)? {
            Weight::Plain(weight) => Weight::Mixed(weight),
            other => other,
        })
    };
    Var::build(&mut Reshaped { plain, matrix }, config)
}
