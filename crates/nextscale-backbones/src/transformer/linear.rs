use burn::{
    module::{Module, Param, ParamId},
    tensor::{DType, Device, Gradients, Tensor, TensorData},
};
use nextscale_core::{Dtype, is_cpu};
use nextscale_kernels::{
    self as kernels, in_type,
    packed::{self, Then},
};

/// A linear layer with a bias.
#[derive(Module, Debug)]
pub struct Linear {
    pub(crate) weight: Weight,
    /// `[out]`.
    pub(crate) bias: Param<Tensor<1>>,
}

impl Linear {
    /// `x · W + b` over the last dimension; `x` is `[batch, positions, in]`.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.weight.product(x, self.bias.val(), Then::Nothing)
    }

    /// `gelu(x · W + b)`, GELU in its tanh form.
    pub fn forward_gelu(&self, x: Tensor<3>) -> Tensor<3> {
        self.weight.product(x, self.bias.val(), Then::Gelu)
    }
}

/// The weight of a linear layer.
#[derive(Module, Debug)]
pub enum Weight {
    /// `[in, out]`: can be trained, and runs on any device.
    Plain(Param<Tensor<2>>),
    /// The same in mixed precision: rounded to bfloat16 for products.
    Mixed(Param<Tensor<2>>),
    /// The same for generation on a device other than the CPU, of any type of floats.
    Still(Param<Tensor<2>>),
    /// Packed for generation on the CPU.
    Packed(Panels),
    /// Rounded to bfloat16, likewise.
    Rounded(Rounded),
}

/// A weight rounded to bfloat16, which no optimiser changes.
#[derive(Module, Debug)]
pub struct Rounded {
    #[module(skip)]
    id: ParamId,
    #[module(skip)]
    weight: packed::Rounded,
}

/// A weight in panels of [`packed::WIDTH`] outputs.
#[derive(Module, Debug)]
pub struct Panels {
    /// `[panels, in, WIDTH]`.
    values: Param<Tensor<3>>,
    #[module(skip)]
    outputs: usize,
}

impl Weight {
    /// For generation on the CPU, from the rows `[outputs, inner]` of a file; `None` if the processor does
    /// not support it.
    pub(crate) fn lay_out(
        values: &[f32],
        [outputs, inner]: [usize; 2],
        dtype: Dtype,
        device: &Device,
    ) -> Option<Self> {
        Some(match dtype {
            Dtype::F32 => {
                let shape = [packed::panels(outputs), inner, packed::WIDTH];
                let values = TensorData::new(packed::pack(values, inner), shape);
                let values = Param::from_tensor(Tensor::from_data(values, (device, DType::F32))).no_grad();
                Self::Packed(Panels { values, outputs })
            }
            Dtype::Bf16 => {
                Self::Rounded(Rounded { id: ParamId::new(), weight: packed::Rounded::new(values, inner)? })
            }
            Dtype::F16 => return None,
        })
    }

    /// The type of its numbers in memory, which what is multiplied by them should have: f32, unless it was laid out in
    /// another for a device.
    pub(crate) fn dtype(&self) -> DType {
        match self {
            Self::Still(weight) => weight.val().dtype(),
            Self::Plain(_) | Self::Mixed(_) | Self::Packed(_) | Self::Rounded(_) => DType::F32,
        }
    }

    /// x in the type of its numbers.
    pub(crate) fn factor<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        in_type(x, self.dtype())
    }

    /// The same for generation on a device other than the CPU.
    pub(crate) fn still(self) -> Self {
        match self {
            Self::Plain(weight) => Self::Still(weight.no_grad()),
            other => other,
        }
    }

    /// `then(x · W + bias)`. A row's result is the same, bit for bit, whatever the other rows are; this makes
    /// an image independent of its batch.
    ///
    /// The result is f32, but after an activation it has the type of the weights: then another product follows.
    pub(crate) fn product(&self, x: Tensor<3>, bias: Tensor<1>, then: Then) -> Tensor<3> {
        let [batch, positions, inner] = x.dims();
        let [outputs] = bias.dims();
        let device = x.device();
        // Before the shape changes, so that burn casts in one kernel with what made x.
        let x = self.factor(x).reshape([batch * positions, inner]);
        if let (Self::Plain(weight) | Self::Mixed(weight) | Self::Still(weight), false) =
            (self, is_cpu(&device))
        {
            let linear = if self.is_mixed() { kernels::linear_rounded } else { kernels::linear };
            // What follows has this shape, too, so that the bias is added in one kernel with it.
            let out = in_type(linear(x, weight.val(), None), DType::F32);
            let out = out.reshape([batch, positions, outputs]);
            let out = follow(out + bias.unsqueeze(), then);
            return match then {
                Then::Nothing => out,
                Then::Gelu => self.factor(out),
            };
        }
        let out = match (self, then) {
            (Self::Packed(panels), then) => packed::linear(x, panels.values.val(), bias, then),
            (Self::Rounded(rounded), then) => rounded.weight.linear(x, bias, then),
            (Self::Plain(weight) | Self::Still(weight), then) => {
                follow(kernels::linear(x, weight.val(), Some(bias)), then)
            }
            (Self::Mixed(weight), then) => follow(kernels::linear_rounded(x, weight.val(), Some(bias)), then),
        };
        out.reshape([batch, positions, outputs])
    }

    /// Whether it trains in mixed precision.
    pub(crate) fn is_mixed(&self) -> bool {
        matches!(self, Self::Mixed(_))
    }

    /// Its identity for burn's optimisers.
    pub(crate) fn id(&self) -> ParamId {
        match self {
            Self::Plain(weight) | Self::Mixed(weight) | Self::Still(weight) => weight.id,
            Self::Packed(panels) => panels.values.id,
            Self::Rounded(rounded) => rounded.id,
        }
    }

    /// `[out, in]`, the shape that it has in a file.
    pub(crate) fn stored_shape(&self) -> [usize; 2] {
        match self {
            Self::Plain(weight) | Self::Mixed(weight) | Self::Still(weight) => {
                let [inner, outputs] = weight.lazy_shape().dims();
                [outputs, inner]
            }
            Self::Packed(panels) => [panels.outputs, panels.values.lazy_shape().dims::<3>()[1]],
            Self::Rounded(rounded) => rounded.weight.shape(),
        }
    }

    /// The values as stored, f32.
    pub(crate) fn stored(&self) -> TensorData {
        match self {
            Self::Plain(weight) | Self::Mixed(weight) | Self::Still(weight) => {
                weight.val().transpose().into_data().convert::<f32>()
            }
            Self::Packed(panels) => {
                let shape @ [outputs, inner] = self.stored_shape();
                let values: Vec<f32> = panels.values.val().into_data().iter::<f32>().collect();
                TensorData::new(packed::unpack(&values, inner, outputs), shape)
            }
            Self::Rounded(rounded) => TensorData::new(rounded.weight.numbers(), rounded.weight.shape()),
        }
    }

    /// The gradient in upstream's layout, if there is one.
    pub(crate) fn gradient(&self, gradients: &Gradients) -> Option<TensorData> {
        match self {
            Self::Plain(weight) | Self::Mixed(weight) => {
                weight.val().grad(gradients).map(|grad| grad.transpose().into_data())
            }
            Self::Still(_) | Self::Packed(_) | Self::Rounded(_) => None,
        }
    }
}

fn follow<const D: usize>(x: Tensor<D>, then: Then) -> Tensor<D> {
    match then {
        Then::Nothing => x,
        Then::Gelu => kernels::gelu_tanh(x),
    }
}
