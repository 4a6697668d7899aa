//! The kernels as operations on tensors.
//!
//! burn puts off the operations of such devices and joins what it can into one kernel (burn-fusion). A kernel
//! of this crate is an operation in that queue, which runs in its place: nothing waits for the device.

use burn::backend::{
    Backend, BackendTensor, DType, Dispatch, DispatchTensor, DispatchTensorKind, TensorMetadata,
    backend_extension, fusion::custom::TensorSpec, tensor::FloatTensor,
};
use burn::tensor::Tensor;

use super::{Keep, cube::CubeBackend, uses::note};

/// What [`CubeBackend`] does, and burn's queue before it.
#[backend_extension(Cube, Fusion)]
pub trait Kernels: Backend {
    #[fusion(dtype = x, shape = x)]
    fn filter(x: FloatTensor<Self>, keep: Keep) -> FloatTensor<Self>;

    #[fusion(dtype = x, shape = uniforms)]
    fn inverse_cdf(x: FloatTensor<Self>, uniforms: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(meta = normed)]
    fn norm(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        eps: f32,
        centred: bool,
        to: DType,
    ) -> FloatTensor<Self>;

    #[fusion(meta = heads_of)]
    fn heads(
        x: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        unit: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

fn normed(
    x: &TensorSpec,
    _scale: &TensorSpec,
    _shift: &TensorSpec,
    _eps: &f32,
    _centred: &bool,
    to: &DType,
) -> TensorSpec {
    TensorSpec::new(x.shape.clone(), *to)
}

fn heads_of(
    x: &TensorSpec,
    _bias: &TensorSpec,
    scale: &TensorSpec,
    _unit: &bool,
) -> (TensorSpec, TensorSpec, TensorSpec) {
    let part = || TensorSpec::new(super::heads::shape(&x.shape, &scale.shape), x.dtype);
    (part(), part(), part())
}

impl Kernels for CubeBackend {
    fn filter(x: FloatTensor<Self>, keep: Keep) -> FloatTensor<Self> {
        super::filter::run(x, keep)
    }

    fn inverse_cdf(x: FloatTensor<Self>, uniforms: FloatTensor<Self>) -> FloatTensor<Self> {
        super::inverse_cdf::run(x, uniforms)
    }

    fn norm(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        eps: f32,
        centred: bool,
        to: DType,
    ) -> FloatTensor<Self> {
        super::norm::run([x, scale, shift], eps, centred, to)
    }

    fn heads(
        x: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        unit: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        super::heads::run([x, bias, scale], unit)
    }
}

/// Replaces removed classes of logits x `[rows, classes]` by -inf. `None` if there is no kernel for the tensor.
///
/// Cumulative probabilities are sums of f32: one within rounding of the limit may fall on its other side. A
/// row with NaN gives some row.
pub fn filter(x: &Tensor<2>, keep: Keep) -> Option<Tensor<2>> {
    let [x] = taken([x.clone().into_dispatch()]).ok()?;
    note("filter");
    Some(Tensor::from_dispatch(<Dispatch as Kernels>::filter(x, keep)))
}

/// The class that each row's uniform number `[rows, 1]`, in [0, 1), falls on, of logits x `[rows, classes]`:
/// the first whose cumulative probability is above it. `[rows, 1]`, as floats; exact up to 2²⁴ classes. `None`
/// if there is no kernel for the tensors.
///
/// A class of probability 0 is not drawn; a row of NaN or of -inf gives some class.
pub fn inverse_cdf(x: &Tensor<2>, uniforms: &Tensor<2>) -> Option<Tensor<2>> {
    let [x, uniforms] = taken([x, uniforms].map(|x| x.clone().into_dispatch())).ok()?;
    note("inverse_cdf");
    Some(Tensor::from_dispatch(<Dispatch as Kernels>::inverse_cdf(x, uniforms)))
}

/// Layer norm if `centred`, otherwise root-mean-square norm, with inputs x `[batch, length, channels]`, scale and
/// shift `[batch, 1, channels]`. They are f32; the result is rounded to the type `to`.
///
/// # Errors
/// Returns the inputs if there is no kernel for them.
pub fn norm(
    inputs: [DispatchTensor; 3],
    eps: f64,
    centred: bool,
    to: DType,
) -> Result<Tensor<3>, [DispatchTensor; 3]> {
    if !is_float(to) {
        return Err(inputs);
    }
    let [x, scale, shift] = taken(inputs)?;
    note("norm");
    Ok(Tensor::from_dispatch(<Dispatch as Kernels>::norm(x, scale, shift, eps as f32, centred, to)))
}

/// [`crate::heads()`] of inputs x, of any type, bias and scale, f32. Each head's positions are one after the other
/// in memory, as products over heads read them; they have x's type.
///
/// # Errors
/// As [`norm()`].
pub fn heads(inputs: [DispatchTensor; 3], unit: bool) -> Result<[Tensor<4>; 3], [DispatchTensor; 3]> {
    if !(is_float_tensor(&inputs[0]) && inputs[1..].iter().all(is_taken)) {
        return Err(inputs);
    }
    let [x, bias, scale] = inputs;
    note("heads");
    let (queries, keys, values) = <Dispatch as Kernels>::heads(x, bias, scale, unit);
    Ok([queries, keys, values].map(Tensor::from_dispatch))
}

/// The tensors, if a kernel takes them: f32, of one of cubecl's devices, outside autodiff, not empty, and small
/// enough for indices of 32 bits.
pub(super) fn taken<const N: usize>(
    tensors: [DispatchTensor; N],
) -> Result<[DispatchTensor; N], [DispatchTensor; N]> {
    if tensors.iter().all(is_taken) { Ok(tensors) } else { Err(tensors) }
}

pub(super) fn is_taken(tensor: &DispatchTensor) -> bool {
    tensor.dtype() == DType::F32 && is_float_tensor(tensor)
}

/// The same with any type of floats. How far a tensor's numbers lie apart is known only when the kernel runs, which
/// copies a tensor whose numbers indices do not reach ([`within_reach`](super::cube::within_reach)).
pub(super) fn is_float_tensor(tensor: &DispatchTensor) -> bool {
    let count = tensor.shape().num_elements();
    matches!(tensor.kind, DispatchTensorKind::Cube(BackendTensor::Float(_)))
        && is_float(tensor.dtype())
        && count > 0
        && u32::try_from(count).is_ok()
}

/// Whether kernels read and write numbers of this type.
pub(super) fn is_float(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F16 | DType::BF16)
}
