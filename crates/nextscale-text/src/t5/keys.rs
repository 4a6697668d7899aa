//! The published key names, said once: a model is built by asking a [`Supply`] for every parameter by its key, and lists its
//! parameters under the same keys. Loading, initialising, checking a file's header and saving all go this way.

use burn::{
    module::{Param, ParamId},
    tensor::{Tensor, TensorData},
};

use super::linear::Linear;

/// Where parameters come from when a model is built.
pub(super) trait Supply {
    /// Why a parameter cannot be had.
    type Error;

    /// The weight `key` of a norm.
    fn gain(&mut self, key: &str, width: usize) -> Result<Param<Tensor<1>>, Self::Error>;

    /// The table `key`, of rows that are looked up.
    fn table(&mut self, key: &str, shape: [usize; 2]) -> Result<Param<Tensor<2>>, Self::Error>;

    /// The linear layer whose weight is `key`, which a file has as `[out, inner]`.
    fn linear(&mut self, key: &str, inner: usize, out: usize) -> Result<Linear, Self::Error>;
}

/// A parameter under its published key.
#[derive(Debug)]
pub struct Named<'a> {
    /// The key, for instance `encoder.block.0.layer.0.SelfAttention.q.weight`.
    pub key: String,
    value: Value<'a>,
}

/// A parameter by its kind.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Gain(&'a Param<Tensor<1>>),
    Table(&'a Param<Tensor<2>>),
    Linear(&'a Linear),
}

impl<'a> Named<'a> {
    pub(super) fn new(key: impl Into<String>, value: Value<'a>) -> Self {
        Self { key: key.into(), value }
    }

    /// The identity by which burn's optimisers know it.
    pub fn id(&self) -> ParamId {
        match self.value {
            Value::Gain(param) => param.id,
            Value::Table(param) => param.id,
            Value::Linear(linear) => linear.id(),
        }
    }

    /// The values as a file has them, f32.
    pub fn data(&self) -> TensorData {
        match self.value {
            Value::Gain(param) => param.val().into_data(),
            Value::Table(param) => param.val().into_data(),
            Value::Linear(linear) => linear.stored(),
        }
    }
}
