use nextscale_kernels::nhwc::Pool;

use super::layer::Layer;

/// What a network's forward pass is made of, on some device.
pub trait Engine: Send + Sync {
    /// Feature maps of several images.
    type Map: Clone;
    /// A convolution as the device wants it.
    type Conv: Send + Sync;

    /// A convolution's numbers, brought to the device.
    fn place(&self, layer: &Layer) -> Self::Conv;
    /// Images `[count, height, width, channels]`, brought to the device.
    fn input(&self, dims: [usize; 4], values: Vec<f32>) -> Self::Map;
    /// Convolution, bias and activation.
    fn conv(&self, conv: &Self::Conv, x: &Self::Map) -> Self::Map;
    /// A pool; padding takes no part in it.
    fn pool(&self, pool: Pool, x: &Self::Map) -> Self::Map;
    /// `x + y`.
    fn add(&self, x: Self::Map, y: &Self::Map) -> Self::Map;
    /// All maps' channels, one map after another.
    fn concat(&self, maps: Vec<Self::Map>) -> Self::Map;
    /// The channels' means over all pixels, `[count, channels]`, on the host.
    fn means(&self, x: &Self::Map) -> Vec<f32>;
    /// The first channels, `[count, height, width, channels]`, on the host.
    fn first_channels(&self, x: &Self::Map, channels: usize) -> Vec<f32>;
}
