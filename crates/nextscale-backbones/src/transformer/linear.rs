use burn::{
    module::{Module, Param, ParamId},
    tensor::{DType, Device, Gradients, Tensor, TensorData},
};
use nextscale_core::{Dtype, is_cpu};
use nextscale_kernels::packed::{self, Then};

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
    /// The same for generation on a device other than the CPU.
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
        })
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
    pub(crate) fn product(&self, x: Tensor<3>, bias: Tensor<1>, then: Then) -> Tensor<3> {
        let [batch, positions, inner] = x.dims();
        let [outputs] = bias.dims();
        let (device, x) = (x.device(), x.reshape([batch * positions, inner]));
        if let (Self::Plain(weight) | Self::Mixed(weight) | Self::Still(weight), false) =
            (self, is_cpu(&device))
        {
            // What follows has this shape, too, so that the bias is added in one kernel with it.
            let out = nextscale_kernels::linear(x, weight.val(), None).reshape([batch, positions, outputs]);
            return follow(out + bias.unsqueeze(), then);
        }
        let out = match (self, then) {
            (Self::Packed(panels), then) => packed::linear(x, panels.values.val(), bias, then),
            (Self::Rounded(rounded), then) => rounded.weight.linear(x, bias, then),
            (Self::Plain(weight) | Self::Still(weight), then) => {
                follow(nextscale_kernels::linear(x, weight.val(), Some(bias)), then)
            }
            (Self::Mixed(weight), then) => {
                follow(nextscale_kernels::linear_rounded(x, weight.val(), Some(bias)), then)
            }
        };
        out.reshape([batch, positions, outputs])
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
                weight.val().transpose().into_data()
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
        Then::Gelu => nextscale_kernels::gelu_tanh(x),
    }
}
