use burn::tensor::{
    DType, Device, Tensor, TensorData, module,
    ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions},
};
use nextscale_kernels::nhwc::{Activation, Pool, PoolKind, Window};

use super::{
    engine::Engine,
    layer::{Layer, Spec},
};

/// burn's own operations in f32, on any device. Maps are `[count, channels, height, width]`.
#[derive(Debug, Clone)]
pub struct Tensors {
    pub device: Device,
}

/// A convolution's weight `[out, in / groups, height, width]` and bias `[out]`.
#[derive(Debug, Clone)]
pub struct TensorConv {
    weight: Tensor<4>,
    bias: Tensor<1>,
    spec: Spec,
}

/// Zeros before and after the rows and the columns.
fn around(window: Window, x: &Tensor<4>) -> [(usize, usize); 2] {
    let [_, _, height, width] = x.dims();
    [height, width].map({
        let mut axis = 0;
        move |extent| {
            let [before, after] = window.padding.around(axis, extent, window.size[axis], window.stride);
            axis += 1;
            (before, after)
        }
    })
}

impl Tensors {
    fn upload<const D: usize>(&self, values: Vec<f32>, dims: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, dims), (&self.device, DType::F32))
    }
}

fn download<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().iter::<f32>().collect()
}

impl Engine for Tensors {
    type Map = Tensor<4>;
    type Conv = TensorConv;

    fn place(&self, Layer { spec, weight, bias }: &Layer) -> TensorConv {
        let [height, width] = spec.window.size;
        let [inputs, outputs] = spec.channels;
        let inputs = if spec.depthwise { 1 } else { inputs };
        TensorConv {
            weight: self.upload(weight.clone(), [outputs, inputs, height, width]),
            bias: self.upload(bias.clone(), [outputs]),
            spec: spec.clone(),
        }
    }

    fn input(&self, dims: [usize; 4], values: Vec<f32>) -> Tensor<4> {
        self.upload(values, dims).permute([0, 3, 1, 2])
    }

    fn conv(&self, TensorConv { weight, bias, spec }: &TensorConv, x: &Tensor<4>) -> Tensor<4> {
        let window = spec.window;
        let [rows, columns] = around(window, x);
        let symmetric = rows.0 == rows.1 && columns.0 == columns.1;
        // Asymmetric padding is written out as zeros.
        let (x, padding) = if symmetric {
            (x.clone(), [rows.0, columns.0])
        } else {
            (x.clone().pad([rows, columns], 0.0), [0, 0])
        };
        let groups = if spec.depthwise { spec.channels[0] } else { 1 };
        let options = ConvOptions::new([window.stride; 2], padding, [1, 1], groups);
        let y = module::conv2d(x, weight.clone(), Some(bias.clone()), options);
        match spec.activation {
            Activation::Identity => y,
            Activation::Relu => y.clamp_min(0.0),
            Activation::Relu6 => y.clamp(0.0, 6.0),
        }
    }

    fn pool(&self, Pool { window, kind }: Pool, x: &Tensor<4>) -> Tensor<4> {
        let padding = around(window, x);
        match kind {
            PoolKind::Max => module::max_pool2d(
                x.clone(),
                MaxPoolOptions::new(window.size).with_stride([window.stride; 2]).with_padding_pairs(padding),
            ),
            PoolKind::Average => module::avg_pool2d(
                x.clone(),
                AvgPoolOptions::new(window.size)
                    .with_stride([window.stride; 2])
                    .with_padding_pairs(padding)
                    .with_count_include_pad(false),
            ),
        }
    }

    fn add(&self, x: Tensor<4>, y: &Tensor<4>) -> Tensor<4> {
        x + y.clone()
    }

    fn concat(&self, maps: Vec<Tensor<4>>) -> Tensor<4> {
        Tensor::cat(maps, 1)
    }

    fn means(&self, x: &Tensor<4>) -> Vec<f32> {
        let [count, channels, height, width] = x.dims();
        download(x.clone().reshape([count, channels, height * width]).mean_dim(2))
    }

    fn first_channels(&self, x: &Tensor<4>, channels: usize) -> Vec<f32> {
        let [count, _, height, width] = x.dims();
        download(x.clone().slice([0..count, 0..channels, 0..height, 0..width]).permute([0, 2, 3, 1]))
    }
}
