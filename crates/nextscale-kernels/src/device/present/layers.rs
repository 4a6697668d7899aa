//! The kernels of the models' layers as operations on tensors; see [`super::operations`].

use burn::backend::{
    Backend, Dispatch, DispatchTensor, backend_extension, fusion::custom::TensorSpec, tensor::FloatTensor,
};
use burn::tensor::{Shape, Tensor};

use super::{
    cube::{CubeBackend, CubeTensor},
    operations::{is_taken, taken},
    uses::note,
};

/// What [`CubeBackend`] does, and burn's queue before it.
#[backend_extension(Cube, Fusion)]
pub trait Layers: Backend {
    #[fusion(dtype = x, shape = x)]
    fn softmax(x: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(dtype = x, shape = x)]
    fn group_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
        eps: f32,
        silu: bool,
    ) -> FloatTensor<Self>;

    #[fusion(dtype = x, shape = with(x, 2, *count))]
    fn first(x: FloatTensor<Self>, count: usize) -> FloatTensor<Self>;

    #[fusion(meta = buffers)]
    fn append(
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        new_keys: FloatTensor<Self>,
        new_values: FloatTensor<Self>,
        at: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    #[fusion(dtype = x, shape = with(x, 1, 1))]
    fn faults(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

fn buffers(
    keys: &TensorSpec,
    values: &TensorSpec,
    _new_keys: &TensorSpec,
    _new_values: &TensorSpec,
    _at: &usize,
) -> (TensorSpec, TensorSpec) {
    (keys.clone(), values.clone())
}

/// The shape with another size of one dimension.
pub(super) fn with(shape: &Shape, dimension: usize, size: usize) -> Shape {
    let mut shape = shape.clone();
    shape[dimension] = size;
    shape
}

impl Layers for CubeBackend {
    fn softmax(x: CubeTensor) -> CubeTensor {
        super::softmax::run(x)
    }

    fn group_norm(
        x: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        groups: usize,
        eps: f32,
        silu: bool,
    ) -> CubeTensor {
        super::group_norm::run([x, weight, bias], groups, eps, silu)
    }

    fn first(mut x: CubeTensor, count: usize) -> CubeTensor {
        let shape = with(x.meta.shape(), 2, count);
        *x.meta.shape_mut() = shape;
        x
    }

    fn append(
        keys: CubeTensor,
        values: CubeTensor,
        new_keys: CubeTensor,
        new_values: CubeTensor,
        at: usize,
    ) -> (CubeTensor, CubeTensor) {
        super::append::run([keys, values], [new_keys, new_values], at)
    }

    fn faults(x: CubeTensor) -> CubeTensor {
        super::faults::run(x)
    }
}

/// Softmax over the last dimension.
///
/// # Errors
/// Returns the tensor if there is no kernel for it.
pub fn softmax<const D: usize>(x: DispatchTensor) -> Result<Tensor<D>, DispatchTensor> {
    let [x] = taken([x]).map_err(|[x]| x)?;
    note("softmax");
    Ok(Tensor::from_dispatch(<Dispatch as Layers>::softmax(x)))
}

/// [`crate::group_norm()`] of inputs x, weight and bias, then [`crate::silu()`] if asked for.
///
/// # Errors
/// Returns the inputs if there is no kernel for them.
pub fn group_norm(
    inputs: [DispatchTensor; 3],
    groups: usize,
    eps: f64,
    silu: bool,
) -> Result<Tensor<4>, [DispatchTensor; 3]> {
    let [x, weight, bias] = taken(inputs)?;
    note("group_norm");
    Ok(Tensor::from_dispatch(<Dispatch as Layers>::group_norm(x, weight, bias, groups, eps as f32, silu)))
}

/// The first `count` of the third dimension, at most all, in x's own memory. `None` if x is of a device
/// without kernels.
pub fn first(x: Tensor<4>, count: usize) -> Option<Tensor<4>> {
    let x = x.into_dispatch();
    let [x] = taken([x]).ok()?;
    note("first");
    Some(Tensor::from_dispatch(<Dispatch as Layers>::first(x, count)))
}

/// Two buffers `[rows, heads, room, width]` with `new` numbers `[rows, heads, positions, width]` from position
/// `at` on, for which there is room. They are written in place if no one else has the buffers.
///
/// # Errors
/// Returns the buffers and the new numbers if there is no kernel for them.
#[allow(clippy::type_complexity)]
pub fn append(
    buffers: [Tensor<4>; 2],
    new: [Tensor<4>; 2],
    at: usize,
) -> Result<[Tensor<4>; 2], ([Tensor<4>; 2], [Tensor<4>; 2])> {
    let (buffers, new) = (buffers.map(Tensor::into_dispatch), new.map(Tensor::into_dispatch));
    if !buffers.iter().chain(&new).all(is_taken) {
        return Err((buffers.map(Tensor::from_dispatch), new.map(Tensor::from_dispatch)));
    }
    let ([keys, values], [new_keys, new_values]) = (buffers, new);
    note("append");
    let (keys, values) = <Dispatch as Layers>::append(keys, values, new_keys, new_values, at);
    Ok([keys, values].map(Tensor::from_dispatch))
}

/// For every row of logits x `[rows, classes]` 1 if nothing can be drawn from it, else 0; `[rows, 1]`. That is
/// so if it has NaN or inf, or nothing but -inf. `None` if there is no kernel for the tensor.
pub fn faults(x: &Tensor<2>) -> Option<Tensor<2>> {
    let x = x.clone().into_dispatch();
    let [x] = taken([x]).ok()?;
    note("faults");
    Some(Tensor::from_dispatch(<Dispatch as Layers>::faults(x)))
}
