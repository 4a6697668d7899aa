use burn::tensor::Tensor;

/// The sum of the features of all scales so far (upstream's `f_hat`).
#[derive(Debug, Clone)]
pub struct Canvas {
    /// `[batch, channels, H, W]` on the finest grid.
    pub features: Tensor<4>,
}
