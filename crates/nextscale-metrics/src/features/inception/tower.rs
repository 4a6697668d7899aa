use nextscale_weights::ExpectedTensors;

use super::{
    CLASSES,
    blocks::{Grid8, Grid17, Grid35, Maker, Reduce8, Reduce17, max_pool},
};
use crate::{
    Result,
    features::{engine::Engine, layer::Spec, network::Architecture},
};

pub const DIMS: usize = 2048;
/// Channels of the first branch of `mixed_6` that are the spatial features.
const SPATIAL_CHANNELS: usize = 7;
/// 17 × 17 pixels of them.
pub const SPATIAL: usize = 17 * 17 * SPATIAL_CHANNELS;

/// The network up to its pooled features.
pub struct Tower;

/// Inception v3 (Szegedy et al. 2016, table 1) in torchvision's arrangement and names.
pub struct Net<C> {
    conv_1a: C,
    conv_2a: C,
    conv_2b: C,
    conv_3b: C,
    conv_4a: C,
    mixed_5: [Grid35<C>; 3],
    mixed_6a: Reduce17<C>,
    mixed_6: [Grid17<C>; 4],
    mixed_7a: Reduce8<C>,
    mixed_7b: Grid8<C>,
    mixed_7c: Grid8<C>,
}

impl Architecture for Tower {
    type Net<C: Send + Sync> = Net<C>;
    /// Pooled features `[count, 2048]` and spatial ones `[count, 17·17·7]`.
    type Output = (Vec<f32>, Vec<f32>);
    const NAME: &'static str = "the FID Inception network";
    const SIZE: usize = 299;
    // The first maps of a single image already exceed a core's own cache.
    const TOGETHER: usize = 1;

    fn build<C: Send + Sync>(&self, conv: &mut dyn FnMut(Spec) -> Result<C>) -> Result<Net<C>> {
        let mut make = Maker::new(conv);
        Ok(Net {
            conv_1a: make.strided("Conv2d_1a_3x3", 3, 32)?,
            conv_2a: make.conv("Conv2d_2a_3x3", [32, 32], [3, 3], [0, 0])?,
            conv_2b: make.conv("Conv2d_2b_3x3", [32, 64], [3, 3], [1, 1])?,
            conv_3b: make.conv("Conv2d_3b_1x1", [64, 80], [1, 1], [0, 0])?,
            conv_4a: make.conv("Conv2d_4a_3x3", [80, 192], [3, 3], [0, 0])?,
            mixed_5: [
                Grid35::new(&mut make, "Mixed_5b", 192, 32)?,
                Grid35::new(&mut make, "Mixed_5c", 256, 64)?,
                Grid35::new(&mut make, "Mixed_5d", 288, 64)?,
            ],
            mixed_6a: Reduce17::new(&mut make, "Mixed_6a", 288)?,
            mixed_6: [
                Grid17::new(&mut make, "Mixed_6b", 128)?,
                Grid17::new(&mut make, "Mixed_6c", 160)?,
                Grid17::new(&mut make, "Mixed_6d", 160)?,
                Grid17::new(&mut make, "Mixed_6e", 192)?,
            ],
            mixed_7a: Reduce8::new(&mut make, "Mixed_7a", 768)?,
            mixed_7b: Grid8::new(&mut make, "Mixed_7b", 1280)?,
            mixed_7c: Grid8::new(&mut make, "Mixed_7c", 2048)?,
        })
    }

    fn others(&self, expected: ExpectedTensors) -> ExpectedTensors {
        expected
            .tensor("fc.weight", [CLASSES, DIMS])
            .tensor("fc.bias", [CLASSES])
            .ignore("AuxLogits.*")
            .ignore("*.num_batches_tracked")
    }

    fn forward<E: Engine>(net: &Net<E::Conv>, engine: &E, x: E::Map) -> (Vec<f32>, Vec<f32>) {
        let mut x = engine.conv(&net.conv_1a, &x);
        x = engine.conv(&net.conv_2a, &x);
        x = engine.conv(&net.conv_2b, &x);
        x = engine.pool(max_pool(2), &x);
        x = engine.conv(&net.conv_3b, &x);
        x = engine.conv(&net.conv_4a, &x);
        x = engine.pool(max_pool(2), &x);
        for block in &net.mixed_5 {
            x = block.forward(engine, &x);
        }
        x = net.mixed_6a.forward(engine, &x);
        let mut spatial = Vec::new();
        for (i, block) in net.mixed_6.iter().enumerate() {
            x = block.forward(engine, &x);
            // TensorFlow counts all mixed blocks from 0: its `mixed_6` is torchvision's Mixed_6d, and its
            // `mixed_6/conv` is the first branch, whose channels come first.
            if i == 2 {
                spatial = engine.first_channels(&x, SPATIAL_CHANNELS);
            }
        }
        x = net.mixed_7a.forward(engine, &x);
        x = net.mixed_7b.forward(engine, &x, super::blocks::average_pool());
        // The graph takes the maximum here, whereas the paper and all similar blocks take the average.
        x = net.mixed_7c.forward(engine, &x, max_pool(1));
        (engine.means(&x), spatial)
    }
}
