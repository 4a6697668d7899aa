//! Rows of tensors for cubes, and what the units of a cube find out together.

use burn::backend::{
    Backend, Cube, TensorMetadata,
    fusion::{Fusion, FusionBackend},
    tensor::FloatTensor,
};
use burn::tensor::{DType, Shape};
use cubecl::{
    calculate_cube_count_elemwise,
    ir::{ElemType, FloatKind},
    prelude::*,
    server::Handle,
};

/// burn's backend of cubecl's devices, without the queue around it.
pub type CubeBackend = <Cube as Queue>::Inner;
/// A tensor of [`CubeBackend`].
pub type CubeTensor = FloatTensor<CubeBackend>;

/// A backend around another.
pub trait Queue {
    type Inner: Backend;
}

impl<B: FusionBackend> Queue for Fusion<B> {
    type Inner = B;
}

/// A launch with a cube for every row.
pub struct Rows {
    pub client: Client,
    pub count: CubeCount,
    /// The units of a cube.
    pub units: usize,
}

impl Rows {
    /// For rows of `length` numbers on the device of `x`.
    pub fn of(x: &CubeTensor, rows: usize, length: usize) -> Self {
        let client = x.client.clone();
        // The count is spread over three dimensions where one has too small a limit, and may become larger.
        let count = calculate_cube_count_elemwise(&client, rows, CubeDim::new_1d(1));
        // Every graphics device has cubes of 256 units, the most that WebGPU promises.
        Self { client, count, units: if length > 64 { 256 } else { 32 } }
    }

    pub fn dim(&self) -> CubeDim {
        CubeDim::new_1d(self.units as u32)
    }
}

/// cubecl's name of a type of floats.
pub fn element(dtype: DType) -> ElemType {
    ElemType::Float(match dtype {
        DType::F16 => FloatKind::F16,
        DType::BF16 => FloatKind::BF16,
        _ => FloatKind::F32,
    })
}

/// The tensor itself if it lies in memory row by row without gaps, otherwise a copy that does.
pub fn contiguous(x: CubeTensor) -> CubeTensor {
    if x.is_contiguous() {
        return x;
    }
    let (client, device, shape, dtype) = (x.client.clone(), x.device.clone(), x.shape(), x.dtype);
    let copy = cubecl::std::tensor::into_contiguous(&client, x.binding(), element(dtype));
    CubeTensor::new_contiguous(client, device, shape, copy.handle, dtype)
}

/// A tensor of this shape and type on the device of `x`, with arbitrary numbers.
pub fn empty(x: &CubeTensor, shape: Shape, dtype: DType) -> CubeTensor {
    let memory = room_for(x, shape.num_elements(), dtype);
    CubeTensor::new_contiguous(x.client.clone(), x.device.clone(), shape, memory, dtype)
}

/// Memory for `count` numbers on the device of `x`.
pub fn room_for(x: &CubeTensor, count: usize, dtype: DType) -> Handle {
    x.client.empty(count * dtype.size())
}

/// How many numbers there are in memory from a tensor's first to its last, those between them included. Sizes
/// are not 0.
fn extent(sizes: &[usize], strides: &[usize]) -> usize {
    1 + sizes.iter().zip(strides).map(|(size, stride)| (size - 1) * stride).sum::<usize>()
}

/// The tensor itself if indices of 32 bits reach all of its numbers, otherwise a copy without gaps, in which
/// they do if there are few enough ([`is_taken`](super::operations::is_taken)).
pub fn within_reach(x: CubeTensor) -> CubeTensor {
    let extent = extent(x.meta.shape(), x.meta.strides());
    if u32::try_from(extent).is_ok() { x } else { contiguous(x) }
}

/// All memory from a tensor's first number to its last, whatever lies between them.
pub fn memory(mut x: CubeTensor) -> BufferArg {
    let extent = extent(x.meta.shape(), x.meta.strides());
    *x.meta.shape_mut() = Shape::new([extent]);
    *x.meta.strides_mut() = [1].into();
    x.into_buffer_arg()
}

/// The tensor, and how far its rows of the last dimension are apart in memory: a copy if they are not evenly
/// spaced.
pub fn rows_apart(x: CubeTensor) -> (CubeTensor, usize) {
    let (shape, strides) = (x.meta.shape(), x.meta.strides());
    let last = shape.len() - 1;
    let length = shape[last];
    let even = strides[last] == 1 && (1..last).all(|i| strides[i - 1] == strides[i] * shape[i]);
    let rows = shape.num_elements() / length;
    let reached = |apart: usize| u32::try_from(rows * apart).is_ok();
    match (even, last.checked_sub(1)) {
        (true, Some(row)) if strides[row] >= length && reached(strides[row]) => {
            let apart = strides[row];
            (x, apart)
        }
        _ => (contiguous(x), length),
    }
}

/// The units in a group: about as many as there are groups in a cube.
const fn group_of(units: usize) -> usize {
    1 << units.ilog2().div_ceil(2)
}

/// Room in which [`sum`] and [`before`] meet.
#[cube]
pub fn room<N: Size>(#[comptime] units: usize) -> Shared<[Vector<f32, N>]> {
    Shared::new_slice(comptime!(units + units / group_of(units)))
}

/// Every unit's own numbers, then the sums of its group, in `room`.
#[cube]
fn gather<N: Size>(own: Vector<f32, N>, room: &mut Shared<[Vector<f32, N>]>, #[comptime] units: usize) {
    let group = comptime!(group_of(units));
    let unit = UNIT_POS as usize;
    room[unit] = own;
    sync_cube();
    if unit < comptime!(units / group) {
        let mut sum = Vector::<f32, N>::new(0.0f32);
        for i in 0..group {
            sum += room[unit * group + i];
        }
        room[units + unit] = sum;
    }
    sync_cube();
}

/// The sum over the units of a cube, in a fixed order; a larger number of one unit never makes it smaller.
#[cube]
pub fn sum<N: Size>(
    own: Vector<f32, N>,
    room: &mut Shared<[Vector<f32, N>]>,
    #[comptime] units: usize,
) -> Vector<f32, N> {
    gather::<N>(own, room, units);
    let mut sum = Vector::<f32, N>::new(0.0f32);
    // The next call writes what is read here only after all units have come to it.
    for i in 0..comptime!(units / group_of(units)) {
        sum += room[units + i];
    }
    sum
}

/// The sum over the units before this one, in a fixed order.
#[cube]
pub fn before<N: Size>(
    own: Vector<f32, N>,
    room: &mut Shared<[Vector<f32, N>]>,
    #[comptime] units: usize,
) -> Vector<f32, N> {
    gather::<N>(own, room, units);
    let group = comptime!(group_of(units));
    let unit = UNIT_POS as usize;
    let first = unit / group;
    let mut sum = Vector::<f32, N>::new(0.0f32);
    for i in 0..first {
        sum += room[units + i];
    }
    for i in first * group..unit {
        sum += room[i];
    }
    sync_cube();
    sum
}

/// The largest number of the units of a cube.
#[cube]
pub fn largest(own: u32, room: &mut Shared<[u32]>, #[comptime] units: usize) -> u32 {
    let group = comptime!(group_of(units));
    let unit = UNIT_POS as usize;
    room[unit] = own;
    sync_cube();
    if unit < comptime!(units / group) {
        let mut most = 0u32;
        for i in 0..group {
            most = max(most, room[unit * group + i]);
        }
        room[units + unit] = most;
    }
    sync_cube();
    let mut most = 0u32;
    for i in 0..comptime!(units / group) {
        most = max(most, room[units + i]);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::extent;

    #[test]
    fn the_extent_counts_what_lies_between_a_view_s_numbers() {
        assert_eq!(extent(&[3, 4], &[4, 1]), 12);
        // Two columns of a wide table, one row repeated, and a single number.
        assert_eq!(extent(&[3, 2], &[1000, 1]), 2002);
        assert_eq!(extent(&[5, 4], &[0, 1]), 4);
        assert_eq!(extent(&[1, 1], &[7, 9]), 1);
        // Few numbers, out of reach.
        assert!(u32::try_from(extent(&[2, 70_000, 2], &[1 << 31, 70_000, 1])).is_err());
    }
}
