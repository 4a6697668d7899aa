use burn::{
    module::{Module, Param, ParamId},
    tensor::{DType, Device, Tensor, TensorData},
};
use nextscale_kernels::{
    gelu_tanh, linear,
    packed::{self, Then},
};

/// The weight of a linear layer.
#[derive(Module, Debug)]
pub enum Linear {
    /// `[in, out]`: can be trained, and runs on any device.
    Plain(Param<Tensor<2>>),
    /// Packed for products on the CPU; has no gradients.
    Packed(Panels),
}

/// A weight in panels of [`packed::WIDTH`] outputs.
#[derive(Module, Debug)]
pub struct Panels {
    /// `[panels, in, WIDTH]`.
    values: Param<Tensor<3>>,
    #[module(skip)]
    outputs: usize,
}

impl Linear {
    /// For inference on the CPU, from the rows `[outputs, inner]` of a file.
    pub(crate) fn lay_out(rows: &[f32], [outputs, inner]: [usize; 2], device: &Device) -> Self {
        let shape = [packed::panels(outputs), inner, packed::WIDTH];
        let values = TensorData::new(packed::pack(rows, inner), shape);
        let values = Param::from_tensor(Tensor::from_data(values, (device, DType::F32))).no_grad();
        Self::Packed(Panels { values, outputs })
    }

    /// `x · W` over the last dimension; x is `[batch, tokens, in]`. On the CPU, a row's result is the same,
    /// bit for bit, whatever the other rows are.
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.product(x, None, Then::Nothing)
    }

    /// `x · W + bias`.
    pub(crate) fn forward_with(&self, x: Tensor<3>, bias: Tensor<1>) -> Tensor<3> {
        self.product(x, Some(bias), Then::Nothing)
    }

    /// `gelu(x · W)`, GELU in its tanh form.
    pub(crate) fn forward_gelu(&self, x: Tensor<3>) -> Tensor<3> {
        self.product(x, None, Then::Gelu)
    }

    fn product(&self, x: Tensor<3>, bias: Option<Tensor<1>>, then: Then) -> Tensor<3> {
        let [batch, tokens, inner] = x.dims();
        let x = x.reshape([batch * tokens, inner]);
        let [outputs, _] = self.stored_shape();
        let out = match (self, then) {
            (Self::Packed(panels), then) => {
                let bias = bias.unwrap_or_else(|| Tensor::zeros([outputs], &x.device()));
                packed::linear(x, panels.values.val(), bias, then)
            }
            (Self::Plain(weight), Then::Nothing) => linear(x, weight.val(), bias),
            (Self::Plain(weight), Then::Gelu) => gelu_tanh(linear(x, weight.val(), bias)),
        };
        out.reshape([batch, tokens, outputs])
    }

    /// Its identity for burn's optimisers.
    pub(crate) fn id(&self) -> ParamId {
        match self {
            Self::Plain(weight) => weight.id,
            Self::Packed(panels) => panels.values.id,
        }
    }

    /// `[out, in]`, the shape that it has in a file.
    pub(crate) fn stored_shape(&self) -> [usize; 2] {
        match self {
            Self::Plain(weight) => {
                let [inner, outputs] = weight.lazy_shape().dims();
                [outputs, inner]
            }
            Self::Packed(panels) => [panels.outputs, panels.values.lazy_shape().dims::<3>()[1]],
        }
    }

    /// The values as stored, f32.
    pub(crate) fn stored(&self) -> TensorData {
        match self {
            Self::Plain(weight) => weight.val().transpose().into_data(),
            Self::Packed(panels) => {
                let shape @ [outputs, inner] = self.stored_shape();
                let values: Vec<f32> = panels.values.val().into_data().iter::<f32>().collect();
                TensorData::new(packed::unpack(&values, inner, outputs), shape)
            }
        }
    }
}
