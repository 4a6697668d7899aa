use burn::tensor::{DType, Device, Tensor, TensorData};
use nextscale_core::{Grid, is_cpu, resample};
use nextscale_kernels::matmul;

/// The most numbers in the matrix of [`Matrices::Joint`]: 1 MB.
const JOINT: usize = 1 << 18;

/// Separable resampling between two grids: matrix products, with matrices kept on the device.
#[derive(Debug, Clone)]
pub struct Resize {
    /// `None` if the grids are equal, where every kind is the identity.
    matrices: Option<Matrices>,
    to: Grid,
}

#[derive(Debug, Clone)]
enum Matrices {
    /// Cᵀ and Rᵀ, `[1, from, to]`.
    Apart(Box<[Tensor<3>; 2]>),
    /// Both at once, `[1, h·w, H·W]`: more numbers, but one product and no transpositions, which on devices
    /// other than the CPU are launches of kernels.
    Joint(Box<Tensor<3>>),
}

impl Resize {
    /// Bicubic (A = -0.75, half-pixel centres, no antialiasing).
    pub fn bicubic(from: Grid, to: Grid, device: &Device) -> Self {
        Self::new(resample::bicubic, from, to, device)
    }

    /// Bilinear (half-pixel centres, no antialiasing: two samples per axis even when it shrinks).
    pub fn bilinear(from: Grid, to: Grid, device: &Device) -> Self {
        Self::new(resample::bilinear, from, to, device)
    }

    /// Means over windows, which overlap if the ratio is not an integer.
    pub fn area(from: Grid, to: Grid, device: &Device) -> Self {
        Self::new(resample::area, from, to, device)
    }

    fn new(kind: fn(usize, usize) -> Vec<f64>, from: Grid, to: Grid, device: &Device) -> Self {
        if from == to {
            return Self { matrices: None, to };
        }
        let matrix = |[from, to]: [usize; 2], number: &dyn Fn(usize, usize) -> f64| {
            let numbers = (0..from * to).map(|i| number(i / to, i % to) as f32).collect();
            Tensor::from_data(TensorData::new(numbers, [1, from, to]), (device, DType::F32))
        };
        let (columns, rows) = (kind(from.width, to.width), kind(from.height, to.height));
        let column = |x: usize, to_x: usize| columns[to_x * from.width + x];
        let row = |y: usize, to_y: usize| rows[to_y * from.height + y];
        let counts = [from.positions(), to.positions()];
        let matrices = if is_cpu(device) || counts[0] * counts[1] > JOINT {
            Matrices::Apart(Box::new([
                matrix([from.width, to.width], &column),
                matrix([from.height, to.height], &row),
            ]))
        } else {
            Matrices::Joint(Box::new(matrix(counts, &|i, to_i| {
                row(i / from.width, to_i / to.width) * column(i % from.width, to_i % to.width)
            })))
        };
        Self { matrices: Some(matrices), to }
    }

    /// `[batch, channels, h, w]` to `[batch, channels, H, W]`.
    pub fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        // One product per image, so that the batch does not affect how a product is summed.
        match &self.matrices {
            None => x,
            Some(Matrices::Apart(matrices)) => {
                let [columns, rows] = &**matrices;
                let x = matmul(x.reshape([batch, channels * height, width]), columns.clone());
                let x = x.reshape([batch, channels, height, self.to.width]).swap_dims(2, 3);
                let x = matmul(x.reshape([batch, channels * self.to.width, height]), rows.clone());
                x.reshape([batch, channels, self.to.width, self.to.height]).swap_dims(2, 3)
            }
            Some(Matrices::Joint(matrix)) => {
                let x = matmul(x.reshape([batch, channels, height * width]), (**matrix).clone());
                x.reshape([batch, channels, self.to.height, self.to.width])
            }
        }
    }
}
