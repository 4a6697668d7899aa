//! 1×1 convolution: one matrix product per image.

use burn::backend::{TensorMetadata, flex::FlexTensor};
use faer::{MatMut, MatRef};

use super::bias_gradient;
use crate::{
    extension::{Operation, dims, tensor, values},
    product::{multiply, multiply_alone},
    raw::{Level, build},
    rows::sum_over_first,
};

/// Parts of the batch whose weight gradients are summed separately. Fixed, so that the sums are the same on
/// every machine.
const PARTS: usize = 8;

/// Convolution with inputs x `[batch, channels, height, width]`, weight `[out, channels, 1, 1]` and bias
/// `[out]`.
#[derive(Clone, Copy, Debug)]
pub struct Conv1x1;

/// `matrix · image` for every image, plus a bias for each row of the result.
fn each(matrix: MatRef<'_, f32>, x: &[f32], bias: Option<&[f32]>, pixels: usize) -> Vec<f32> {
    let (outputs, image) = (matrix.nrows(), matrix.ncols() * pixels);
    // A single image gets all threads; the result is the same either way.
    let multiply = if x.len() == image { multiply } else { multiply_alone };
    build(x.len() / image * outputs * pixels, outputs * pixels, |i, out| {
        if let Some(bias) = bias {
            out.chunks_exact_mut(pixels).zip(bias).for_each(|(row, &bias)| row.fill(bias));
        }
        let x = MatRef::from_row_major_slice(&x[i * image..][..image], matrix.ncols(), pixels);
        multiply(MatMut::from_row_major_slice_mut(out, outputs, pixels), matrix, x, true);
    })
}

/// The gradient of the weight: `Σ over images of grad · xᵀ`.
fn weight_gradient(x: &[f32], grad: &[f32], [batch, channels, outputs, pixels]: [usize; 4]) -> Vec<f32> {
    let (count, share) = (outputs * channels, batch.div_ceil(PARTS));
    let partial = build(batch.div_ceil(share) * count, count, |part, out| {
        for image in part * share..batch.min((part + 1) * share) {
            let grad = &grad[image * outputs * pixels..][..outputs * pixels];
            let x = &x[image * channels * pixels..][..channels * pixels];
            multiply_alone(
                MatMut::from_row_major_slice_mut(out, outputs, channels),
                MatRef::from_row_major_slice(grad, outputs, pixels),
                MatRef::from_row_major_slice(x, channels, pixels).transpose(),
                true,
            );
        }
    });
    sum_over_first(&partial, count)
}

fn extent(x: &FlexTensor, weight: &FlexTensor) -> [usize; 4] {
    let ([batch, channels, height, width], [outputs, ..]) = (dims(x), dims::<4>(weight));
    [batch, channels, outputs, height * width]
}

impl Operation<3> for Conv1x1 {
    fn forward(&self, [x, weight, bias]: &[FlexTensor; 3]) -> FlexTensor {
        let [batch, channels, outputs, pixels] = extent(x, weight);
        let matrix = MatRef::from_row_major_slice(values(weight), outputs, channels);
        let [_, _, height, width] = dims(x);
        tensor(each(matrix, values(x), Some(values(bias)), pixels), [batch, outputs, height, width])
    }

    fn saved(&self, [x, weight, _]: [FlexTensor; 3], _output: &FlexTensor) -> Vec<FlexTensor> {
        vec![x, weight]
    }

    fn backward(
        &self,
        saved: &[FlexTensor],
        grad: &FlexTensor,
        [x_needed, weight_needed, bias_needed]: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let [x, weight] = saved else { unreachable!("two tensors were saved") };
        let extent @ [_, channels, outputs, pixels] = extent(x, weight);
        let matrix = MatRef::from_row_major_slice(values(weight), outputs, channels);
        let grad = values(grad);
        [
            x_needed.then(|| tensor(each(matrix.transpose(), grad, None, pixels), x.shape())),
            weight_needed.then(|| tensor(weight_gradient(values(x), grad, extent), weight.shape())),
            bias_needed.then(|| tensor(bias_gradient(Level::detected(), grad, outputs, pixels), [outputs])),
        ]
    }
}
