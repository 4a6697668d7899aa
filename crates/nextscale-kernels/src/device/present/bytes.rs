//! Images as bytes, four of them in a number, so that a fourth of what they are in f32 is copied to the host.

use burn::{backend::TensorMetadata, tensor::Shape};
use cubecl::prelude::*;

use super::cube::{self, CubeTensor, Rows};

/// The units of a cube, each of which makes four bytes.
const UNITS: usize = 256;

/// The cubes of an image of so many numbers.
fn cubes(numbers: usize) -> usize {
    numbers.div_ceil(4).div_ceil(UNITS)
}

/// The numbers that images `[batch, channels, height, width]` become, `[batch, numbers]`: their bytes four by
/// four, and a number for each cube that is not 0 if it has met one that is not finite.
pub fn shape(images: &Shape) -> Shape {
    let [batch, channels, height, width] = images.dims();
    let numbers = channels * height * width;
    [batch, numbers.div_ceil(4) + cubes(numbers)].into()
}

/// x `[batch, channels, height, width]` in [0, 1]; the bytes of a pixel's channels are side by side.
pub fn run(x: CubeTensor, half: f32) -> CubeTensor {
    let [batch, channels, height, width] = x.shape().dims();
    let numbers = channels * height * width;
    let cubes = cubes(numbers);
    let shape = shape(&x.shape());
    let memory = x.client.empty(shape.num_elements() * size_of::<f32>());
    let (client, device, dtype) = (x.client.clone(), x.device.clone(), x.dtype);
    let bytes = CubeTensor::new_contiguous(client, device, shape, memory, dtype);
    let launch = Rows::of(&x, batch * cubes, UNITS);
    round::launch(
        &launch.client,
        launch.count.clone(),
        launch.dim(),
        x.into_tensor_arg(),
        bytes.clone().into_buffer_arg(),
        batch * cubes,
        cubes,
        numbers,
        channels,
        width,
        half,
        half > 0.0,
        UNITS,
    );
    bytes
}

/// The bits of an exponent that only infinities and NaN have.
const INFINITE: u32 = 0x7f80_0000;

#[cube(launch)]
fn round(
    x: &Tensor<u32>,
    bytes: &mut [u32],
    rows: usize,
    cubes: usize,
    numbers: usize,
    channels: usize,
    width: usize,
    half: f32,
    #[comptime] nearest: bool,
    #[comptime] units: usize,
) {
    if CUBE_POS >= rows {
        terminate!();
    }
    let image = CUBE_POS / cubes;
    let part = CUBE_POS % cubes;
    let words = numbers.div_ceil(4usize);
    let word = part * units + UNIT_POS as usize;
    let to = image * (words + cubes);
    let mut room = Shared::<[u32]>::new_slice(comptime!(2 * units));
    let mut fault = 0u32;
    let mut four = 0u32;
    for i in 0usize..4usize {
        let number = 4usize * word + i;
        if number < numbers {
            let channel = number % channels;
            let pixel = number / channels;
            let bits = x[image * x.stride(0)
                + channel * x.stride(1)
                + pixel / width * x.stride(2)
                + pixel % width * x.stride(3)];
            if bits & INFINITE == INFINITE {
                fault = 1u32;
            }
            // The product is rounded before anything is added to it, as on the CPU: the clamp between them keeps
            // the two from becoming one operation.
            let mut level = max(f32::reinterpret(bits) * 255.0f32, 0.0f32);
            if comptime!(nearest) {
                level += half;
            }
            four |= u32::cast_from(min(level, 255.0f32)) << (8u32 * i as u32);
        }
    }
    if word < words {
        bytes[to + word] = four;
    }
    fault = cube::largest(fault, &mut room, units);
    if UNIT_POS == 0u32 {
        bytes[to + words + part] = fault;
    }
}
