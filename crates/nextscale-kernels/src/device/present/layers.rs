//! The kernels of the models' layers as operations on tensors; see [`super::operations`].

use burn::backend::{
    Backend, DType, Dispatch, DispatchTensor, TensorMetadata, backend_extension, fusion::custom::TensorSpec,
    tensor::FloatTensor,
};
use burn::tensor::{Shape, Tensor};

use super::{
    cube::{CubeBackend, CubeTensor},
    operations::{is_float, is_float_tensor, is_taken, taken},
    uses::note,
};

/// What [`CubeBackend`] does, and burn's queue before it.
#[backend_extension(Cube, Fusion)]
pub trait Layers: Backend {
    #[fusion(meta = rounded)]
    fn softmax(x: FloatTensor<Self>, to: DType) -> FloatTensor<Self>;

    #[fusion(meta = normed)]
    fn group_norm(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
        eps: f32,
        silu: bool,
        to: DType,
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

    #[fusion(meta = product_of)]
    fn product(a: FloatTensor<Self>, b: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(dtype = x, shape = with(x, 1, weight[0]))]
    fn convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

fn rounded(x: &TensorSpec, to: &DType) -> TensorSpec {
    TensorSpec::new(x.shape.clone(), *to)
}

fn normed(
    x: &TensorSpec,
    _weight: &TensorSpec,
    _bias: &TensorSpec,
    _groups: &usize,
    _eps: &f32,
    _silu: &bool,
    to: &DType,
) -> TensorSpec {
    rounded(x, to)
}

fn product_of(a: &TensorSpec, b: &TensorSpec) -> TensorSpec {
    let last = a.shape.num_dims() - 1;
    TensorSpec::new(with(&a.shape, last, b.shape[last]), DType::F32)
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
    fn softmax(x: CubeTensor, to: DType) -> CubeTensor {
        super::softmax::run(x, to)
    }

    fn group_norm(
        x: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        groups: usize,
        eps: f32,
        silu: bool,
        to: DType,
    ) -> CubeTensor {
        super::group_norm::run([x, weight, bias], groups, eps, silu, to)
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

    fn product(a: CubeTensor, b: CubeTensor) -> CubeTensor {
        super::product::run(a, b)
    }

    fn convolution(x: CubeTensor, weight: CubeTensor, bias: CubeTensor) -> CubeTensor {
        super::convolution::run(x, weight, bias)
    }
}

/// Softmax over the last dimension of f32, rounded to the type `to`.
///
/// # Errors
/// Returns the tensor if there is no kernel for it.
pub fn softmax<const D: usize>(x: DispatchTensor, to: DType) -> Result<Tensor<D>, DispatchTensor> {
    if !(is_taken(&x) && is_float(to)) {
        return Err(x);
    }
    note("softmax");
    Ok(Tensor::from_dispatch(<Dispatch as Layers>::softmax(x, to)))
}

/// `a·b` of the last two dimensions, f32, of factors of one type of halves. The other dimensions are equal.
///
/// # Errors
/// Returns the factors if there is no kernel for them.
pub fn product<const D: usize>(factors: [DispatchTensor; 2]) -> Result<Tensor<D>, [DispatchTensor; 2]> {
    if !are_halves(&factors) {
        return Err(factors);
    }
    let [a, b] = factors;
    Ok(Tensor::from_dispatch(<Dispatch as Layers>::product(a, b)))
}

/// Convolution of x `[batch, channels, height, width]` with a square kernel of odd size, stride 1 and zeros around,
/// so that the size stays: weight `[out, channels, size, size]` and bias `[out]`, all of one type of halves, which
/// the result has, too. Sums are f32.
///
/// # Errors
/// Returns the inputs if there is no kernel for them.
pub fn convolution(inputs: [DispatchTensor; 3]) -> Result<Tensor<4>, [DispatchTensor; 3]> {
    if !are_halves(&inputs) {
        return Err(inputs);
    }
    let [x, weight, bias] = inputs;
    Ok(Tensor::from_dispatch(<Dispatch as Layers>::convolution(x, weight, bias)))
}

fn are_halves(tensors: &[DispatchTensor]) -> bool {
    let dtype = tensors[0].dtype();
    dtype != DType::F32 && tensors.iter().all(|tensor| tensor.dtype() == dtype && is_float_tensor(tensor))
}

/// [`crate::group_norm()`] of inputs x, of any type, weight and bias, f32, then [`crate::silu()`] if asked for, rounded
/// to the type `to`.
///
/// # Errors
/// Returns the inputs if there is no kernel for them.
pub fn group_norm(
    inputs: [DispatchTensor; 3],
    groups: usize,
    eps: f64,
    silu: bool,
    to: DType,
) -> Result<Tensor<4>, [DispatchTensor; 3]> {
    if !(is_float(to) && is_float_tensor(&inputs[0]) && inputs[1..].iter().all(is_taken)) {
        return Err(inputs);
    }
    note("group_norm");
    let [x, weight, bias] = inputs;
    Ok(Tensor::from_dispatch(<Dispatch as Layers>::group_norm(x, weight, bias, groups, eps as f32, silu, to)))
}

/// The first `count` of the third dimension, at most all, in x's own memory. `None` if x is of a device
/// without kernels.
pub fn first(x: Tensor<4>, count: usize) -> Option<Tensor<4>> {
    let x = x.into_dispatch();
    if !is_float_tensor(&x) {
        return None;
    }
    note("first");
    Some(Tensor::from_dispatch(<Dispatch as Layers>::first(x, count)))
}

/// Two buffers `[rows, heads, room, width]` with `new` numbers `[rows, heads, positions, width]`, all of one type,
/// from position `at` on, for which there is room. They are written in place if no one else has the buffers.
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
    let dtype = buffers[0].dtype();
    if !buffers.iter().chain(&new).all(|x| x.dtype() == dtype && is_float_tensor(x)) {
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
