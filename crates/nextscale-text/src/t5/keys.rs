//! The published key names, stated once: a model is built by asking a [`Supply`] for every parameter by its
//! key, and lists its parameters under the same keys. Loading, initialising, checking headers and saving all
//! go through this.

use burn::{
    module::{Param, ParamId},
    tensor::{Tensor, TensorData},
};

use crate::linear::Linear;

/// The source of parameters when a model is built.
pub(super) trait Supply {
    /// Why a parameter is unavailable.
    type Error;

    /// The weight `key` of a norm.
    fn gain(&mut self, key: &str, width: usize) -> Result<Param<Tensor<1>>, Self::Error>;

    /// The table `key`, for looking up rows.
    fn table(&mut self, key: &str, shape: [usize; 2]) -> Result<Param<Tensor<2>>, Self::Error>;

    /// The linear layer whose weight is `key`, stored as `[out, inner]`.
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

    /// Its identity for burn's optimisers.
    pub fn id(&self) -> ParamId {
        match self.value {
            Value::Gain(param) => param.id,
            Value::Table(param) => param.id,
            Value::Linear(linear) => linear.id(),
        }
    }

    /// The values as stored, f32.
    pub fn data(&self) -> TensorData {
        match self.value {
            Value::Gain(param) => param.val().into_data(),
            Value::Table(param) => param.val().into_data(),
            Value::Linear(linear) => linear.stored(),
        }
    }
}
