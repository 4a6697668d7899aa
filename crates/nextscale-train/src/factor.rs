//! Numbers that tensors are multiplied by and that change from step to step.
//!
//! burn passes a number to a kernel in memory of the device that it fills anew for every new number and every
//! kernel: hundreds of small copies a step, if it is a learning rate. On other devices than the CPU all such
//! numbers of a step are copied there once.

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::is_cpu;

/// A number, on the CPU or on the device.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // a few per step
pub enum Factor {
    /// On the CPU.
    Number(f64),
    /// On the device, `[1]`.
    Tensor(Tensor<1>),
}

impl Factor {
    /// These numbers, for tensors of `device`.
    pub fn on<const N: usize>(numbers: [f64; N], device: &Device) -> [Self; N] {
        if is_cpu(device) {
            return numbers.map(Self::Number);
        }
        let values: Vec<f32> = numbers.iter().map(|&number| number as f32).collect();
        let all = Tensor::<1>::from_data(TensorData::new(values, [N]), device);
        std::array::from_fn(|i| Self::Tensor(all.clone().slice_dim(0, i..i + 1)))
    }

    /// x times the number.
    pub fn times(&self, x: Tensor<1>) -> Tensor<1> {
        match self {
            Self::Number(number) => x.mul_scalar(*number),
            Self::Tensor(number) => x.mul(number.clone()),
        }
    }
}
