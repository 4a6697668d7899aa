use burn::tensor::Tensor;

/// The features that all scales so far add up to (upstream's `f_hat`).
#[derive(Debug, Clone)]
pub struct Canvas {
    /// `[batch, channels, H, W]` on the finest grid.
    pub features: Tensor<4>,
}
