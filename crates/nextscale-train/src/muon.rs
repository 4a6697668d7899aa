//! Muon: updates matrices by orthogonalised momentum.
//!
//! The gradient of a matrix has few large singular values, and a step along it changes little else. Muon sets
//! all singular values of the step to one (Jordan and others, 2024, "Muon: An optimizer for hidden layers in
//! neural networks").

use burn::tensor::Tensor;
use nextscale_core::is_cpu;
use serde::{Deserialize, Serialize};

/// Settings of Muon, for the matrices of a transformer's blocks; AdamW updates everything else.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MuonConfig {
    /// Its learning rate as a multiple of the run's.
    pub rate: f64,
    /// The decay of the momentum, from 0 to below 1.
    pub momentum: f64,
    /// Weight decay, at this rate.
    pub weight_decay: f64,
}

impl Default for MuonConfig {
    fn default() -> Self {
        Self { rate: 2.0, momentum: 0.95, weight_decay: 0.05 }
    }
}

/// Iterations, and the coefficients of the odd polynomial a·x + b·x³ + c·x⁵ that maps every singular value
/// close to one (the authors' own: steep at zero, and within about 0.7 to 1.2 after five iterations).
const ITERATIONS: usize = 5;
const POLYNOMIAL: [f64; 3] = [3.4445, -4.775, 2.0315];
/// The root mean square of a step's numbers at rate one: about AdamW's, so that rates are comparable (Liu and
/// others, 2025, "Muon is Scalable for LLM Training", §2.2).
const SIZE: f64 = 0.2;
/// A matrix of zeros is divided by this.
const LEAST: f64 = 1e-12;

impl MuonConfig {
    /// The change of a matrix `[rows, columns]` at rate one, from its gradient and the momentum that already
    /// includes it. The matrix consists of `parts` of equal width, side by side, which are treated
    /// separately.
    pub fn step(&self, gradient: Tensor<2>, momentum: Tensor<2>, parts: usize) -> Tensor<2> {
        let parts = (gradient + momentum * self.momentum).chunk(parts, 1);
        let steps = parts.into_iter().map(|part| {
            let longer = part.dims().into_iter().max().unwrap_or(1);
            orthogonalised(part) * (SIZE * (longer as f64).sqrt() * self.rate)
        });
        Tensor::cat(steps.collect(), 1)
    }
}

/// The matrix with all singular values close to one, and the same singular vectors. Products are rounded to
/// bfloat16 if the processor supports it.
fn orthogonalised(x: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = x.dims();
    if rows > columns {
        return orthogonalised(x.transpose()).transpose();
    }
    // If the root of the sum of all squares is one, no singular value exceeds one.
    let norm = (x.clone() * x.clone()).sum().sqrt();
    let scaled = if is_cpu(&x.device()) {
        x / f64::from(norm.into_scalar::<f32>()).max(LEAST)
    } else {
        x / norm.clamp_min(LEAST).unsqueeze()
    };
    (0..ITERATIONS).fold(scaled, |x, _| nextscale_kernels::odd_polynomial_rounded(x, POLYNOMIAL))
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn matrix<const N: usize>(rows: [[f32; N]; 3]) -> Tensor<2> {
        Tensor::from_data(TensorData::from(rows), &Device::flex())
    }

    fn numbers(x: Tensor<2>) -> Vec<f32> {
        x.into_data().iter::<f32>().collect()
    }

    #[test]
    fn singular_values_come_near_one_and_vectors_stay() {
        // On a diagonal matrix the singular values are visible.
        let x = matrix([[900.0, 0.0, 0.0, 0.0], [0.0, -90.0, 0.0, 0.0], [0.0, 0.0, 9.0, 0.0]]);
        for (x, columns) in [(x.clone(), 4), (x.transpose(), 3)] {
            for (i, value) in numbers(orthogonalised(x)).into_iter().enumerate() {
                let (row, column) = (i / columns, i % columns);
                let sign = if row == 1 { -1.0 } else { 1.0 };
                let near = (0.6..1.3).contains(&(value * sign));
                assert!(if row == column { near } else { value.abs() < 1e-6 }, "{row} {column}: {value}");
            }
        }
        assert_eq!(numbers(orthogonalised(matrix([[0.0; 4]; 3]))), [0.0; 12]);
    }

    #[test]
    fn parts_move_apart_and_a_step_has_adam_ws_size() {
        let config = MuonConfig { rate: 0.5, momentum: 0.0, ..MuonConfig::default() };
        // The second part's gradient is a thousand times the first's.
        let x = matrix([
            [0.1, 0.0, 0.0, 100.0, 0.0, 0.0],
            [0.0, 0.2, 0.0, 0.0, 200.0, 0.0],
            [0.0, 0.0, 0.1, 0.0, 0.0, 100.0],
        ]);
        let step = config.step(x.clone(), x.zeros_like(), 2);
        let [first, second] = step.chunk(2, 1).try_into().unwrap();
        assert_eq!(first.dims(), [3, 3]);
        let (first, second) = (numbers(first), numbers(second));
        for (first, second) in first.iter().zip(&second) {
            assert!((first - second).abs() < 0.01, "{first} {second}");
        }
        let size = (first.iter().map(|x| x * x).sum::<f32>() / 9.0).sqrt();
        assert!((size / (0.2 * 0.5) - 1.0).abs() < 0.3, "{size}");
    }

    #[test]
    fn momentum_is_followed_beyond_the_gradient() {
        let config = MuonConfig { momentum: 1.0, ..MuonConfig::default() };
        let gradient = matrix([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);
        let momentum = gradient.clone() * -3.0;
        assert!(numbers(config.step(gradient, momentum, 1))[0] < 0.0);
    }
}
