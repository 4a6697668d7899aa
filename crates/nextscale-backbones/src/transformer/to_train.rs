//! Building a model to train.

use burn::tensor::Device;
use nextscale_core::{Dtype, Error, is_cpu};

use super::{
    keys::{Architecture, Reshaped, Supply},
    laid_out::unavailable,
    linear::Weight,
};

/// A model from a supply of plain weights; in bf16, its linear layers and attention use mixed precision.
pub(crate) fn build<S, A>(
    mut plain: S,
    config: &A,
    device: &Device,
    dtype: Dtype,
) -> Result<A::Model, S::Error>
where
    S: Supply<Error: From<Error>>,
    A: Architecture,
{
    if dtype == Dtype::F32 {
        return config.build(&mut plain);
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
    config.build(&mut Reshaped { plain, matrix })
}
