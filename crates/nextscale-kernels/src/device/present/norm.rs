//! Layer norm and root-mean-square norm with the modulation of adaptive norms, a row by a cube.

use burn::{backend::TensorMetadata, tensor::DType};
use cubecl::{ir::ElemType, prelude::*};

use super::cube::{self, CubeTensor, Rows, contiguous, element, empty, within_reach};

/// x `[batch, length, channels]`, scale and shift `[batch, 1, channels]`. If `centred`,
/// `(x − mean)/√(variance + eps)·(1 + scale) + shift`, otherwise `x/√(mean of x² + eps)·scale + shift`. They
/// are f32; the result is rounded to the type `to`.
pub fn run(inputs: [CubeTensor; 3], eps: f32, centred: bool, to: DType) -> CubeTensor {
    // Scale and shift are often parts of a larger tensor, whose strides they keep.
    let [x, scale, shift] = inputs;
    let (x, scale, shift) = (contiguous(x), within_reach(scale), within_reach(shift));
    let [batch, length, channels] = x.shape().dims();
    let rows = batch * length;
    let launch = Rows::of(&x, rows, channels);
    let normal = empty(&x, x.shape(), to);
    norm_rows::launch(
        &launch.client,
        launch.count.clone(),
        launch.dim(),
        x.into_buffer_arg(),
        scale.into_tensor_arg(),
        shift.into_tensor_arg(),
        normal.clone().into_buffer_arg(),
        rows,
        length,
        channels,
        eps,
        centred,
        launch.units,
        element(to),
    );
    normal
}

type One = Const<1>;

#[cube(launch)]
fn norm_rows<T: Float>(
    x: &[f32],
    scale: &Tensor<f32>,
    shift: &Tensor<f32>,
    normal: &mut [T],
    rows: usize,
    length: usize,
    channels: usize,
    eps: f32,
    #[comptime] centred: bool,
    #[comptime] units: usize,
    #[define(T)] _to: ElemType,
) {
    if CUBE_POS >= rows {
        terminate!();
    }
    let first = CUBE_POS * channels;
    let image = CUBE_POS / length;
    let count = f32::cast_from(channels);
    let mut room = cube::room::<One>(units);

    let mut mean = 0.0f32;
    let mut one = 0.0f32;
    if comptime!(centred) {
        let mut own = 0.0f32;
        for channel in range_stepped(UNIT_POS as usize, channels, units) {
            own += x[first + channel];
        }
        mean = cube::sum::<One>(Vector::new(own), &mut room, units).extract(0usize) / count;
        one = 1.0f32;
    }
    let mut own = 0.0f32;
    for channel in range_stepped(UNIT_POS as usize, channels, units) {
        let distance = x[first + channel] - mean;
        own += distance * distance;
    }
    let square = cube::sum::<One>(Vector::new(own), &mut room, units).extract(0usize) / count;
    let size = (square + eps).sqrt();
    for channel in range_stepped(UNIT_POS as usize, channels, units) {
        let scale = scale[image * scale.stride(0) + channel * scale.stride(2)];
        let shift = shift[image * shift.stride(0) + channel * shift.stride(2)];
        let value = (x[first + channel] - mean) / size * (scale + one) + shift;
        normal[first + channel] = T::cast_from(value);
    }
}
