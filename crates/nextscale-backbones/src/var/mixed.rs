//! Building a model that trains in mixed precision.

use burn::{
    module::Param,
    tensor::{Device, Tensor},
};
use nextscale_core::Error;

use super::{config::VarConfig, keys::Supply, laid_out::unavailable, linear::Weight, model::Var};

/// A model from a supply of plain weights, whose linear layers multiply in bfloat16.
pub(super) fn build<S>(plain: S, config: &VarConfig, device: &Device) -> Result<Var, Error>
where
    S: Supply<Error: Into<Error>>,
{
    let host = [Device::flex(), Device::flex().autodiff()].contains(device);
    if !(host && nextscale_kernels::rounds()) {
        return Err(unavailable());
    }
    Var::build(&mut Mixed(plain), config).map_err(Into::into)
}

/// Supplies what another supplies, but its linear weights for products in bfloat16.
struct Mixed<S>(S);

impl<S: Supply> Supply for Mixed<S> {
    type Error = S::Error;

    fn param<const D: usize>(
        &mut self,
        key: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>, Self::Error> {
        self.0.param(key, shape)
    }

    fn matrix(&mut self, key: &str, inner: usize, out: usize) -> Result<Weight, Self::Error> {
        Ok(match self.0.matrix(key, inner, out)? {
            Weight::Plain(weight) => Weight::Mixed(weight),
            other => other,
        })
    }
}
