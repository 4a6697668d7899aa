//! Upstream's key names, said once: a model is built by asking a [`Supply`] for every parameter by its key, and lists
//! its parameters under the same keys. Loading, initialising, checking a file's header and saving all go this way.

use burn::{
    module::{Param, ParamId},
    nn::Linear,
    tensor::{Gradients, Tensor, TensorData},
};

/// Where parameters come from when a model is built.
pub(super) trait Supply {
    /// Why a parameter cannot be had.
    type Error;

    /// The parameter `key` in the shape that it has in a file.
    fn param<const D: usize>(
        &mut self,
        key: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>, Self::Error>;

    /// The weight `key` of a linear layer, `[inner, out]`: the transpose of what a file has.
    fn matrix(&mut self, key: &str, inner: usize, out: usize) -> Result<Param<Tensor<2>>, Self::Error>;
}

/// The linear layer `name` with a bias.
pub(super) fn linear<S: Supply>(
    supply: &mut S,
    name: &str,
    inner: usize,
    out: usize,
) -> Result<Linear, S::Error> {
    Ok(Linear {
        weight: supply.matrix(&format!("{name}.weight"), inner, out)?,
        bias: Some(supply.param(&format!("{name}.bias"), [out])?),
    })
}

/// The inverse of [`linear`].
pub(super) fn list_linear<'a>(layer: &'a Linear, name: &str, names: &mut Vec<Named<'a>>) {
    names.push(Named::new(format!("{name}.weight"), Value::Matrix(&layer.weight)));
    if let Some(bias) = &layer.bias {
        names.push(Named::new(format!("{name}.bias"), Value::One(bias)));
    }
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
pub(super) enum Value<'a> {
    One(&'a Param<Tensor<1>>),
    /// A table of embeddings, kept as upstream keeps it.
    Table(&'a Param<Tensor<2>>),
    /// A linear weight, kept `[in, out]` and saved `[out, in]`.
    Matrix(&'a Param<Tensor<2>>),
    Three(&'a Param<Tensor<3>>),
    Four(&'a Param<Tensor<4>>),
}

impl<'a> Named<'a> {
    pub(super) fn new(key: String, value: Value<'a>) -> Self {
        Self { key, value }
    }

    /// The identity by which burn's optimisers know it.
    pub fn id(&self) -> ParamId {
        match self.value {
            Value::One(param) => param.id,
            Value::Table(param) | Value::Matrix(param) => param.id,
            Value::Three(param) => param.id,
            Value::Four(param) => param.id,
        }
    }

    /// The shape that it has in a file.
    pub fn shape(&self) -> Vec<usize> {
        let mut shape = match self.value {
            Value::One(param) => param.lazy_shape().to_vec(),
            Value::Table(param) | Value::Matrix(param) => param.lazy_shape().to_vec(),
            Value::Three(param) => param.lazy_shape().to_vec(),
            Value::Four(param) => param.lazy_shape().to_vec(),
        };
        if matches!(self.value, Value::Matrix(_)) {
            shape.reverse();
        }
        shape
    }

    /// The values as a file has them, f32.
    pub fn data(&self) -> TensorData {
        match self.value {
            Value::One(param) => param.val().into_data(),
            Value::Table(param) => param.val().into_data(),
            Value::Matrix(param) => param.val().transpose().into_data(),
            Value::Three(param) => param.val().into_data(),
            Value::Four(param) => param.val().into_data(),
        }
    }

    /// The gradient as upstream would have it, where there is one.
    pub fn gradient(&self, gradients: &Gradients) -> Option<TensorData> {
        match self.value {
            Value::One(param) => param.val().grad(gradients).map(Tensor::into_data),
            Value::Table(param) => param.val().grad(gradients).map(Tensor::into_data),
            Value::Matrix(param) => param.val().grad(gradients).map(|grad| grad.transpose().into_data()),
            Value::Three(param) => param.val().grad(gradients).map(Tensor::into_data),
            Value::Four(param) => param.val().grad(gradients).map(Tensor::into_data),
        }
    }
}
