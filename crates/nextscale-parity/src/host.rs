//! Tensors back on the host.

use burn::tensor::{Int, Tensor};
use nextscale_pipeline::{Error, Result};

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Device(format!("the device could not give a tensor back: {error}"))
}

/// The values of a tensor in row-major order.
pub(crate) fn floats<const D: usize>(tensor: &Tensor<D>) -> Result<Vec<f32>> {
    let values: Vec<f32> =
        tensor.clone().try_into_data().map_err(failed)?.try_into_vec_as().map_err(failed)?;
    #[cfg(test)]
    let values = broken::floats(values);
    Ok(values)
}

/// The values of an integer tensor in row-major order.
pub(crate) fn integers<const D: usize>(tensor: Tensor<D, Int>) -> Result<Vec<i64>> {
    let values: Vec<i64> = tensor.try_into_data().map_err(failed)?.try_into_vec_as().map_err(failed)?;
    #[cfg(test)]
    let values = broken::integers(values);
    Ok(values)
}

/// Recorded integers, which never saw the device under test.
pub(crate) fn recorded<const D: usize>(tensor: Tensor<D, Int>) -> Result<Vec<i64>> {
    tensor.try_into_data().map_err(failed)?.try_into_vec_as().map_err(failed)
}

/// Devices that give back something else than was computed. They act on what this thread reads.
#[cfg(test)]
pub(crate) mod broken {
    use std::cell::Cell;

    /// What a device gives back.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub enum Device {
        /// Floats that are not numbers.
        Nan,
        /// This integer, whatever the right one is.
        Token(i64),
        /// Nothing: tensors without values.
        Empty,
    }

    thread_local! {
        static DEVICE: Cell<Option<Device>> = const { Cell::new(None) };
    }

    /// What `run` gives when everything is read from such a device.
    pub fn on<T>(device: Device, run: impl FnOnce() -> T) -> T {
        DEVICE.set(Some(device));
        let result = run();
        DEVICE.set(None);
        result
    }

    pub fn floats(values: Vec<f32>) -> Vec<f32> {
        match DEVICE.get() {
            Some(Device::Nan) => vec![f32::NAN; values.len()],
            Some(Device::Empty) => Vec::new(),
            _ => values,
        }
    }

    pub(super) fn integers(values: Vec<i64>) -> Vec<i64> {
        match DEVICE.get() {
            Some(Device::Token(token)) => vec![token; values.len()],
            Some(Device::Empty) => Vec::new(),
            _ => values,
        }
    }
}
