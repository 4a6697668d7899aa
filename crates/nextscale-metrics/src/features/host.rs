use nextscale_kernels::nhwc::{self, Convolution, Depthwise, Map, Pool};

use super::{engine::Engine, layer::Layer};

/// The CPU, with kernels whose results do not depend on how images are batched.
#[derive(Debug, Clone, Copy)]
pub struct Host;

/// A convolution with packed weights.
#[derive(Debug, Clone)]
pub enum HostConv {
    Full(Convolution),
    Depthwise(Depthwise),
}

impl Engine for Host {
    type Map = Map;
    type Conv = HostConv;

    fn place(&self, Layer { spec, weight, bias }: &Layer) -> HostConv {
        if spec.depthwise {
            HostConv::Depthwise(Depthwise::new(weight, bias, spec.window, spec.activation))
        } else {
            HostConv::Full(Convolution::new(weight, bias, spec.channels[0], spec.window, spec.activation))
        }
    }

    fn input(&self, dims: [usize; 4], values: Vec<f32>) -> Map {
        Map::new(dims, values)
    }

    fn conv(&self, conv: &HostConv, x: &Map) -> Map {
        match conv {
            HostConv::Full(conv) => conv.apply(x),
            HostConv::Depthwise(conv) => conv.apply(x),
        }
    }

    fn pool(&self, pool: Pool, x: &Map) -> Map {
        pool.apply(x)
    }

    fn add(&self, x: Map, y: &Map) -> Map {
        nhwc::add(x, y)
    }

    fn concat(&self, maps: Vec<Map>) -> Map {
        nhwc::concat(&maps)
    }

    fn means(&self, x: &Map) -> Vec<f32> {
        nhwc::mean(x)
    }

    fn first_channels(&self, x: &Map, channels: usize) -> Vec<f32> {
        x.values.chunks_exact(x.channels).flat_map(|pixel| &pixel[..channels]).copied().collect()
    }
}
