//! Between tensors and buffers: makes an operation on flex's buffers one that burn differentiates.

use std::{fmt::Debug, ops::Deref};

use burn::backend::{
    Autodiff, AutodiffBackend, BackendTensor, DType, DispatchAutodiffContext, DispatchKindConversion,
    DispatchTensor, DispatchTensorKind, Flex, TensorMetadata,
    autodiff::{
        checkpoint::{
            base::Checkpointer,
            strategy::{BalancedCheckpointing, CheckpointStrategy, NoCheckpointing},
        },
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    },
    flex::{FlexTensor, Layout},
    tensor::FloatTensor,
};
use burn::tensor::{Bytes, GradientCheckpointingStrategy, Shape, Tensor};

/// An operation on `N` contiguous f32 tensors of the CPU backend. Its settings are fields.
pub trait Operation<const N: usize>: Clone + Send + Debug + 'static {
    /// The result.
    fn forward(&self, inputs: &[FlexTensor; N]) -> FlexTensor;

    /// The tensors saved for the backward pass; nothing else is kept alive.
    fn saved(&self, inputs: [FlexTensor; N], output: &FlexTensor) -> Vec<FlexTensor>;

    /// The gradients of the inputs, from the saved tensors and the gradient of the result. Those that are not
    /// `needed` are ignored.
    fn backward(&self, saved: &[FlexTensor], grad: &FlexTensor, needed: [bool; N])
    -> [Option<FlexTensor>; N];
}

/// Applies the operation if the inputs are f32 tensors of the CPU backend, with or without autodiff.
///
/// # Errors
/// Returns the inputs if they are anything else.
pub fn apply<O: Operation<N>, const N: usize, const D: usize>(
    operation: O,
    inputs: [DispatchTensor; N],
) -> Result<Tensor<D>, [DispatchTensor; N]> {
    if !inputs.iter().all(on_flex) {
        return Err(inputs);
    }
    let mut context = DispatchAutodiffContext::Disabled;
    for input in &inputs {
        match (context, input.autodiff) {
            (DispatchAutodiffContext::Disabled, other) => context = other,
            (_, DispatchAutodiffContext::Disabled) => {}
            // Left to burn, which reports the mistake.
            (a, b) if a != b => return Err(inputs),
            _ => {}
        }
    }
    let output = match context {
        DispatchAutodiffContext::Disabled => {
            let buffers = inputs.map(|input| contiguous(plain(input)));
            let output = operation.forward(&buffers);
            <DispatchTensor as DispatchKindConversion<Flex>>::from_backend(BackendTensor::Float(output))
        }
        DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Disabled) => {
            recorded::<O, NoCheckpointing, N>(operation, inputs)
        }
        DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Balanced) => {
            recorded::<O, BalancedCheckpointing, N>(operation, inputs)
        }
    };
    Ok(Tensor::from_dispatch(output))
}

/// Applies a function of contiguous f32 tensors of the CPU backend outside autodiff.
///
/// # Errors
/// Returns the inputs if they are anything else.
pub fn outside<const N: usize, const D: usize>(
    inputs: [DispatchTensor; N],
    function: impl FnOnce(&[FlexTensor; N]) -> FlexTensor,
) -> Result<Tensor<D>, [DispatchTensor; N]> {
    let plainly =
        |input: &DispatchTensor| matches!(input.kind, DispatchTensorKind::Flex(_)) && on_flex(input);
    if !inputs.iter().all(plainly) {
        return Err(inputs);
    }
    let output = function(&inputs.map(|input| contiguous(plain(input))));
    let output = <DispatchTensor as DispatchKindConversion<Flex>>::from_backend(BackendTensor::Float(output));
    Ok(Tensor::from_dispatch(output))
}

fn on_flex(tensor: &DispatchTensor) -> bool {
    tensor.dtype() == DType::F32 && is_of_flex(tensor)
}

fn is_of_flex(tensor: &DispatchTensor) -> bool {
    let kind = match &tensor.kind {
        DispatchTensorKind::Autodiff(inner) => inner.as_ref(),
        kind => kind,
    };
    matches!(kind, DispatchTensorKind::Flex(_))
}

/// Whether the tensor is of another backend than the CPU's.
pub fn is_elsewhere<const D: usize>(tensor: &Tensor<D>) -> bool {
    !is_of_flex(&tensor.clone().into_dispatch())
}

/// Whether [`apply`] takes this tensor.
pub fn on_cpu<const D: usize>(tensor: &Tensor<D>) -> bool {
    on_flex(&tensor.clone().into_dispatch())
}

/// The buffer of a tensor that [`on_flex`] accepted.
fn plain(tensor: DispatchTensor) -> FlexTensor {
    match tensor.kind {
        DispatchTensorKind::Flex(tensor) => tensor.float(),
        _ => unreachable!("the tensor was found to be on flex and outside autodiff"),
    }
}

/// The operation inside autodiff: its step is recorded if an input is tracked.
fn recorded<O: Operation<N>, C: CheckpointStrategy, const N: usize>(
    operation: O,
    inputs: [DispatchTensor; N],
) -> DispatchTensor
where
    Autodiff<Flex, C>:
        AutodiffBackend<InnerBackend = Flex, FloatTensorPrimitive = FloatTensor<Autodiff<Flex>>>,
    DispatchTensor: DispatchKindConversion<Autodiff<Flex, C>>,
{
    let inputs = inputs.map(|input| match input.autodiff {
        // A tensor from outside autodiff is a constant here.
        DispatchAutodiffContext::Disabled => <Autodiff<Flex, C>>::from_inner(plain(input)),
        DispatchAutodiffContext::Enabled(_) => match input.kind {
            DispatchTensorKind::Autodiff(inner) => match *inner {
                DispatchTensorKind::Flex(tensor) => tensor.autodiff(),
                _ => unreachable!("the tensor was found to be on flex"),
            },
            _ => unreachable!("a float tensor of an autodiff device is an autodiff tensor"),
        },
    });
    let guards = inputs.each_ref().map(|input| input.node());
    let buffers = inputs.map(|input| contiguous(input.into_primitive()));
    let output = operation.forward(&buffers);
    // Kernels are not recomputed: they save their input or output, which a neighbour usually keeps anyway.
    let prepared = Recorded(operation.clone()).prepare::<C>(guards).compute_bound().stateful();
    let output = match prepared {
        OpsKind::Tracked(step) => {
            let saved = operation.saved(buffers, &output);
            step.finish(saved, output)
        }
        OpsKind::UnTracked(step) => step.finish(output),
    };
    <DispatchTensor as DispatchKindConversion<Autodiff<Flex, C>>>::from_backend(BackendTensor::Float(output))
}

#[derive(Debug)]
struct Recorded<O>(O);

impl<O: Operation<N>, const N: usize> Backward<Flex, N> for Recorded<O> {
    type State = Vec<FlexTensor>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let grad = contiguous(grads.consume::<Flex>(&ops.node));
        let needed = ops.parents.each_ref().map(|parent| parent.is_some());
        let results = self.0.backward(&ops.state, &grad, needed);
        for (parent, result) in ops.parents.into_iter().zip(results) {
            if let (Some(parent), Some(result)) = (parent, result) {
                grads.register::<Flex>(parent.id, result);
            }
        }
    }
}

/// The numbers of an f32 tensor of the CPU backend, in row-major order; without a copy if the tensor is
/// contiguous.
#[derive(Clone, Debug)]
pub struct Values(FlexTensor);

impl Deref for Values {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        values(&self.0)
    }
}

/// The numbers of an f32 tensor of the CPU backend outside autodiff, otherwise `None`.
pub fn read(tensor: DispatchTensor) -> Option<Values> {
    let outside = matches!(tensor.kind, DispatchTensorKind::Flex(_));
    (outside && on_flex(&tensor)).then(|| Values(contiguous(plain(tensor))))
}

/// The tensor itself if it is contiguous, otherwise a copy.
fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// The numbers of a tensor that went through [`apply`].
pub fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice::<f32>().expect("inputs are f32 and contiguous")
}

/// The shape of a tensor of known rank.
pub fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    tensor.shape().dims::<D>()
}

/// A tensor of these numbers.
pub fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(shape.into()), DType::F32)
}
