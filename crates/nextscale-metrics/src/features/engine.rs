use nextscale_kernels::nhwc::Pool;

use super::layer::Layer;

/// The operations of a network's forward pass, on some device.
pub trait Engine: Send + Sync {
    /// Feature maps of several images.
    type Map: Clone;
    /// A convolution in the device's form.
    type Conv: Send + Sync;

    /// Moves a convolution's numbers to the device.
    fn place(&self, layer: &Layer) -> Self::Conv;
    /// Moves images `[count, height, width, channels]` to the device.
    fn input(&self, dims: [usize; 4], values: Vec<f32>) -> Self::Map;
    /// Convolution, bias and activation.
    fn conv(&self, conv: &Self::Conv, x: &Self::Map) -> Self::Map;
    /// A pool; padding is ignored.
    fn pool(&self, pool: Pool, x: &Self::Map) -> Self::Map;
    /// `x + y`.
    fn add(&self, x: Self::Map, y: &Self::Map) -> Self::Map;
    /// The channels of all maps, concatenated.
    fn concat(&self, maps: Vec<Self::Map>) -> Self::Map;
    /// The means of the channels over all pixels, `[count, channels]`, on the host.
    fn means(&self, x: &Self::Map) -> Vec<f32>;
    /// The first channels, `[count, height, width, channels]`, on the host.
    fn first_channels(&self, x: &Self::Map, channels: usize) -> Vec<f32>;
}
