//! Copies between the host and a device, each of which the loop would wait for: they are made here, and counted,
//! so that a test can say that no scale makes any but that of its random numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use nextscale_core::{Error, Result, is_cpu};

static COUNTS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

/// Copies of this process so far, to and from devices that are not the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copies {
    /// Tensors given to a device.
    pub up: u64,
    /// Bytes of them.
    pub up_bytes: u64,
    /// Tensors read back.
    pub down: u64,
    /// Bytes of them.
    pub down_bytes: u64,
}

impl Copies {
    /// Those made so far by the loop: samplers, edits, corrupted prefixes, checks, observers.
    pub fn so_far() -> Self {
        let [up, up_bytes, down, down_bytes] = COUNTS.each_ref().map(|count| count.load(Ordering::Relaxed));
        Self { up, up_bytes, down, down_bytes }
    }

    /// Those made since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            up: self.up - earlier.up,
            up_bytes: self.up_bytes - earlier.up_bytes,
            down: self.down - earlier.down,
            down_bytes: self.down_bytes - earlier.down_bytes,
        }
    }
}

/// Notes a copy: 0 to a device, 2 from it.
fn note(at: usize, device: &Device, bytes: usize) {
    if !is_cpu(device) {
        COUNTS[at].fetch_add(1, Ordering::Relaxed);
        COUNTS[at + 1].fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

fn given(values: impl Into<TensorData>, device: &Device) -> TensorData {
    let data = values.into();
    note(0, device, data.bytes().len());
    data
}

/// A tensor of the host on a device.
pub(crate) fn up<const D: usize>(data: TensorData, device: &Device) -> Tensor<D> {
    Tensor::from_data(given(data, device), device)
}

/// The same for integers.
pub(crate) fn up_integers<const D: usize>(data: TensorData, device: &Device) -> Tensor<D, Int> {
    Tensor::from_data(given(data, device), device)
}

/// The same for flags.
pub(crate) fn up_flags<const D: usize>(data: TensorData, device: &Device) -> Tensor<D, Bool> {
    Tensor::from_data(given(data, device), device)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Unsupported(format!("the device could not give a tensor back: {error}"))
}

/// The values of a tensor in row-major order, as f32.
pub fn floats<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let device = tensor.device();
    let data = tensor.try_into_data().map_err(failed)?;
    note(2, &device, data.bytes().len());
    data.try_into_vec_as().map_err(failed)
}

/// The values of an integer tensor in row-major order.
pub fn integers<const D: usize>(tensor: Tensor<D, Int>) -> Result<Vec<i64>> {
    let device = tensor.device();
    let data = tensor.try_into_data().map_err(failed)?;
    note(2, &device, data.bytes().len());
    data.try_into_vec_as().map_err(failed)
}

/// The bytes of a tensor of f32 in row-major order.
pub(crate) fn bytes<const D: usize>(tensor: Tensor<D>) -> Result<Vec<u8>> {
    let device = tensor.device();
    let data = tensor.try_into_data().map_err(failed)?;
    note(2, &device, data.bytes().len());
    Ok(data.bytes().to_vec())
}
