//! Building a model to train.

use burn::tensor::Device;
use nextscale_core::{Dtype, Error, is_cpu};

use super::{
    keys::{Architecture, Reshaped, Supply},
    laid_out::unavailable,
    linear::Weight,
};

/// A model from a supply of plain weights; in bf16, its linear layers and attention use mixed precision. There is no
/// training in f16: its gradients would need a scale of their own.
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
    check(dtype, device)?;
    let matrix = |plain: &mut S, key: &str, inner: usize, out: usize| {
        Ok(match plain.matrix(key, inner, out)? {
            Weight::Plain(weight) => Weight::Mixed(weight),
            other => other,
        })
    };
    config.build(&mut Reshaped { plain, matrix })
}

/// Checks that models can be trained in the type on the device.
///
/// # Errors
/// [`Error::Unsupported`]; the message says what to do.
pub fn check(dtype: Dtype, device: &Device) -> Result<(), Error> {
    match dtype {
        Dtype::F16 => {
            Err(Error::Unsupported("training in f16 is not supported; train in bf16 or f32".into()))
        }
        Dtype::Bf16 if is_cpu(device) && !nextscale_kernels::rounds() => Err(unavailable()),
        _ => dtype.check(device),
    }
}
