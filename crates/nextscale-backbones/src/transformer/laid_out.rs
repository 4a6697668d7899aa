//! Building a model for generation only.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::{Dtype, Error, is_cpu};

use super::{
    keys::{Architecture, Reshaped, Supply},
    linear::Weight,
};

/// The layers at both ends of a model, and of the residual's net, whose weights stay f32 on devices other than the CPU.
/// What goes in comes from f32 canvases and noise, which are not rounded anywhere else; what comes out are logits, whose
/// differences guidance multiplies, and residuals, which are added to canvases. Together they are at most 1.5 % of the
/// weights of a published model.
const WHOLE: [&str; 4] = [
    "word_embed.weight",
    "head.weight",
    "diffloss.net.input_proj.weight",
    "diffloss.net.final_layer.linear.weight",
];

/// A model from a supply of plain weights, for generation only: on the CPU its linear layers are packed for
/// products; elsewhere their weights have the type `dtype`, but for a few, and what follows from weights alone is
/// computed once.
pub(crate) fn build<S, A>(plain: S, config: &A, device: &Device, dtype: Dtype) -> Result<A::Model, S::Error>
where
    S: Supply<Error: From<Error>>,
    A: Architecture,
{
    dtype.check(device)?;
    match (is_cpu(device), dtype) {
        (true, _) => {
            // One by one, so that two models are never held at once.
            let matrix = |plain: &mut S, key: &str, inner: usize, out: usize| {
                let weight =
                    plain.rows(key, inner, out, |rows| Weight::lay_out(rows, [out, inner], dtype, device))?;
                weight.ok_or_else(|| unavailable().into())
            };
            config.build(&mut Reshaped { plain, matrix })
        }
        (false, Dtype::F32) => {
            let matrix = |plain: &mut S, key: &str, inner: usize, out: usize| {
                plain.matrix(key, inner, out).map(Weight::still)
            };
            config.build(&mut Reshaped { plain, matrix })
        }
        (false, _) => {
            // Rounded on the host, so that the device never holds them in f32.
            let halves = |rows: &[f32], [inner, out]: [usize; 2]| {
                let rows = TensorData::new(rows.to_vec(), [out, inner]).convert_dtype(dtype.stored());
                let rows: Tensor<2> = Tensor::from_data(rows, (device, dtype.stored()));
                Weight::Still(Param::from_tensor(rows.transpose()).no_grad())
            };
            let matrix = |plain: &mut S, key: &str, inner: usize, out: usize| match stays_f32(key) {
                true => plain.matrix(key, inner, out).map(Weight::still),
                false => plain.rows(key, inner, out, |rows| halves(rows, [inner, out])),
            };
            config.build(&mut Reshaped { plain, matrix })
        }
    }
}

/// Whether the weights of this linear layer stay f32 on devices other than the CPU.
pub(crate) fn stays_f32(key: &str) -> bool {
    WHOLE.contains(&key)
}

pub(crate) fn unavailable() -> Error {
    Error::Unsupported(
        "this processor does not multiply bfloat16 numbers (AMX-BF16 or AVX512-BF16), or NEXTSCALE_ROUTE excludes that; compute in f32".into(),
    )
}
