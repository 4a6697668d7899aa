//! Upstream's key names, stated once: a model is built by asking a [`Supply`] for every parameter by its key,
//! and lists its parameters under the same keys. Loading, initialising, checking headers and saving all go
//! through this.

use burn::{
    module::{Param, ParamId},
    tensor::{Gradients, Tensor, TensorData},
};

use super::linear::{Linear, Weight};

/// The source of parameters when a model is built.
pub(crate) trait Supply {
    /// Why a parameter is unavailable.
    type Error;

    /// The parameter `key` in the shape that it has in a file.
    fn param<const D: usize>(
        &mut self,
        key: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>, Self::Error>;

    /// The weight `key` of a linear layer, stored as `[out, inner]`.
    fn matrix(&mut self, key: &str, inner: usize, out: usize) -> Result<Weight, Self::Error>;

    /// The result of `read` on that weight's numbers, as stored.
    fn rows<R>(
        &mut self,
        key: &str,
        inner: usize,
        out: usize,
        read: impl FnOnce(&[f32]) -> R,
    ) -> Result<R, Self::Error> {
        let rows: Vec<f32> = self.matrix(key, inner, out)?.stored().iter::<f32>().collect();
        Ok(read(&rows))
    }
}

/// The sizes of a model, which is built from a supply.
pub(crate) trait Architecture {
    /// What is built.
    type Model;

    /// Asks for every parameter of the model.
    fn build<S: Supply>(&self, supply: &mut S) -> Result<Self::Model, S::Error>;
}

/// Wraps another supply, with weights of linear layers created by a function of key, inputs and outputs.
pub(crate) struct Reshaped<S, F> {
    pub plain: S,
    pub matrix: F,
}

impl<S, F> Supply for Reshaped<S, F>
where
    S: Supply,
    F: FnMut(&mut S, &str, usize, usize) -> Result<Weight, S::Error>,
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
        (self.matrix)(&mut self.plain, key, inner, out)
    }
}

/// The linear layer `name` with a bias.
pub(crate) fn linear<S: Supply>(
    supply: &mut S,
    name: &str,
    inner: usize,
    out: usize,
) -> Result<Linear, S::Error> {
    Ok(Linear {
        weight: supply.matrix(&format!("{name}.weight"), inner, out)?,
        bias: supply.param(&format!("{name}.bias"), [out])?,
    })
}

/// The inverse of [`linear`].
pub(crate) fn list_linear<'a>(layer: &'a Linear, name: &str, names: &mut Vec<Named<'a>>) {
    names.push(Named::new(format!("{name}.weight"), Value::Matrix(&layer.weight)));
    names.push(Named::new(format!("{name}.bias"), Value::One(&layer.bias)));
}

/// A parameter under its upstream key.
#[derive(Debug)]
pub struct Named<'a> {
    /// Upstream's key, for instance `blocks.0.attn.mat_qkv.weight`.
    pub key: String,
    value: Value<'a>,
}

/// A parameter by its rank.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    One(&'a Param<Tensor<1>>),
    /// A table of embeddings, in upstream's layout.
    Table(&'a Param<Tensor<2>>),
    /// A linear weight, saved as `[out, in]`.
    Matrix(&'a Weight),
    Three(&'a Param<Tensor<3>>),
    Four(&'a Param<Tensor<4>>),
}

impl<'a> Named<'a> {
    pub(crate) fn new(key: String, value: Value<'a>) -> Self {
        Self { key, value }
    }

    /// How many numbers it has.
    pub(crate) fn count(&self) -> usize {
        match self.value {
            Value::One(param) => param.lazy_shape().num_elements(),
            Value::Table(param) => param.lazy_shape().num_elements(),
            Value::Matrix(weight) => weight.stored_shape().iter().product(),
            Value::Three(param) => param.lazy_shape().num_elements(),
            Value::Four(param) => param.lazy_shape().num_elements(),
        }
    }

    /// Its identity for burn's optimisers.
    pub fn id(&self) -> ParamId {
        match self.value {
            Value::One(param) => param.id,
            Value::Table(param) => param.id,
            Value::Matrix(weight) => weight.id(),
            Value::Three(param) => param.id,
            Value::Four(param) => param.id,
        }
    }

    /// The shape that it has in a file.
    pub fn shape(&self) -> Vec<usize> {
        match self.value {
            Value::One(param) => param.lazy_shape().to_vec(),
            Value::Table(param) => param.lazy_shape().to_vec(),
            Value::Matrix(weight) => weight.stored_shape().to_vec(),
            Value::Three(param) => param.lazy_shape().to_vec(),
            Value::Four(param) => param.lazy_shape().to_vec(),
        }
    }

    /// The values as stored, f32.
    pub fn data(&self) -> TensorData {
        match self.value {
            Value::One(param) => param.val().into_data(),
            Value::Table(param) => param.val().into_data(),
            Value::Matrix(weight) => weight.stored(),
            Value::Three(param) => param.val().into_data(),
            Value::Four(param) => param.val().into_data(),
        }
    }

    /// The gradient in upstream's layout, if there is one.
    pub fn gradient(&self, gradients: &Gradients) -> Option<TensorData> {
        match self.value {
            Value::One(param) => param.val().grad(gradients).map(Tensor::into_data),
            Value::Table(param) => param.val().grad(gradients).map(Tensor::into_data),
            Value::Matrix(weight) => weight.gradient(gradients),
            Value::Three(param) => param.val().grad(gradients).map(Tensor::into_data),
            Value::Four(param) => param.val().grad(gradients).map(Tensor::into_data),
        }
    }
}
