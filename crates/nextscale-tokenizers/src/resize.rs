use burn::tensor::{DType, Device, Tensor, TensorData};
use nextscale_core::{Grid, resample};
use nextscale_kernels::matmul;

/// Separable resampling between two grids: two small matrix products, with matrices kept on the device.
#[derive(Debug, Clone)]
pub struct Resize {
    /// Cᵀ and Rᵀ, `[1, from, to]`; `None` if the grids are equal, where every kind is the identity.
    matrices: Option<(Tensor<3>, Tensor<3>)>,
    to: Grid,
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
        let matrix = |from: usize, to: usize| {
            let rows = kind(from, to);
            let transposed = (0..from * to).map(|i| rows[i % to * from + i / to] as f32).collect();
            Tensor::from_data(TensorData::new(transposed, [1, from, to]), (device, DType::F32))
        };
        let matrices = (from != to).then(|| (matrix(from.width, to.width), matrix(from.height, to.height)));
        Self { matrices, to }
    }

    /// `[batch, channels, h, w]` to `[batch, channels, H, W]`.
    pub fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        let Some((columns, rows)) = &self.matrices else { return x };
        let [batch, channels, height, width] = x.dims();
        // One product per image, so that the batch does not affect how a product is summed.
        let x = matmul(x.reshape([batch, channels * height, width]), columns.clone());
        let x = x.reshape([batch, channels, height, self.to.width]).swap_dims(2, 3);
        let x = matmul(x.reshape([batch, channels * self.to.width, height]), rows.clone());
        x.reshape([batch, channels, self.to.width, self.to.height]).swap_dims(2, 3)
    }
}
