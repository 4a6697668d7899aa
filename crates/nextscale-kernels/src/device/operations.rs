//! The kernels as operations on tensors.
//!
//! burn puts off the operations of such devices and joins what it can into one kernel (burn-fusion). A kernel
//! of this crate is an operation in that queue, which runs in its place: nothing waits for the device.

use burn::backend::{
    Backend, BackendTensor, DType, Dispatch, DispatchTensor, DispatchTensorKind, TensorMetadata,
    backend_extension, tensor::FloatTensor,
};
use burn::tensor::Tensor;

use super::{Keep, cube::CubeBackend};

/// What [`CubeBackend`] does, and burn's queue before it.
#[backend_extension(Cube, Fusion)]
pub trait Kernels: Backend {
    #[fusion(dtype = x, shape = x)]
    fn filter(x: FloatTensor<Self>, keep: Keep) -> FloatTensor<Self>;

    #[fusion(dtype = x, shape = uniforms)]
    fn inverse_cdf(x: FloatTensor<Self>, uniforms: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl Kernels for CubeBackend {
    fn filter(x: FloatTensor<Self>, keep: Keep) -> FloatTensor<Self> {
        super::filter::run(x, keep)
    }

    fn inverse_cdf(x: FloatTensor<Self>, uniforms: FloatTensor<Self>) -> FloatTensor<Self> {
        super::inverse_cdf::run(x, uniforms)
    }
}

/// Replaces removed classes of logits x `[rows, classes]` by -inf. `None` if there is no kernel for the tensor.
///
/// Cumulative probabilities are sums of f32: one within rounding of the limit may fall on its other side. A
/// row with NaN gives some row.
pub fn filter(x: &Tensor<2>, keep: Keep) -> Option<Tensor<2>> {
    let [x] = taken([x])?;
    Some(Tensor::from_dispatch(<Dispatch as Kernels>::filter(x, keep)))
}

/// The class that each row's uniform number `[rows, 1]`, in [0, 1), falls on, of logits x `[rows, classes]`:
/// the first whose cumulative probability is above it. `[rows, 1]`, as floats; exact up to 2²⁴ classes. `None`
/// if there is no kernel for the tensors.
///
/// A class of probability 0 is not drawn; a row of NaN or of -inf gives some class.
pub fn inverse_cdf(x: &Tensor<2>, uniforms: &Tensor<2>) -> Option<Tensor<2>> {
    let [x, uniforms] = taken([x, uniforms])?;
    Some(Tensor::from_dispatch(<Dispatch as Kernels>::inverse_cdf(x, uniforms)))
}

/// The tensors, if a kernel takes them: f32, of one of cubecl's devices, outside autodiff, not empty, and small
/// enough for indices of 32 bits.
fn taken<const N: usize, const D: usize>(tensors: [&Tensor<D>; N]) -> Option<[DispatchTensor; N]> {
    let tensors = tensors.map(|tensor| tensor.clone().into_dispatch());
    tensors.iter().all(is_taken).then_some(tensors)
}

pub(super) fn is_taken(tensor: &DispatchTensor) -> bool {
    let count = tensor.shape().num_elements();
    matches!(tensor.kind, DispatchTensorKind::Cube(BackendTensor::Float(_)))
        && tensor.dtype() == DType::F32
        && count > 0
        && u32::try_from(count).is_ok()
}
