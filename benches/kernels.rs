//! Products at the sizes of VAR-d16 and its tokenizer, ours compared with burn flex's own operations. An
//! element is a floating-point operation, so Gelem/s means GFLOP/s.

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use nextscale::burn::tensor::ops::{AttentionModuleOptions, ConvOptions};
use nextscale::burn::tensor::{Device, Tensor, TensorData, module};
use nextscale::kernels::{
    self,
    packed::{self, Then},
};
use nextscale::priors::conformance::noise;

fn tensor<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let values = noise(seed, shape.iter().product());
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(2));
    group
}

/// Both passes of one image at the last scale, 512 rows, and at the second, 8.
fn linear(criterion: &mut Criterion) {
    for rows in [512, 8] {
        let mut group = group(criterion, &format!("linear, {rows} rows"));
        for (layer, inner, out) in
            [("qkv", 1024, 3072), ("proj", 1024, 1024), ("fc1 or head", 1024, 4096), ("fc2", 4096, 1024)]
        {
            let (x, weight, bias) = (tensor([rows, inner], 1), tensor([inner, out], 2), tensor([out], 3));
            group.throughput(Throughput::Elements((2 * rows * inner * out) as u64));
            let id = |whose: &str| format!("{layer} {inner} × {out}, {whose}");
            group.bench_function(id("ours, training"), |bencher| {
                bencher.iter(|| kernels::linear(x.clone(), weight.clone(), Some(bias.clone())));
            });
            let stored = noise(2, inner * out);
            let shape = [packed::panels(out), inner, packed::WIDTH];
            let panels: Tensor<3> =
                Tensor::from_data(TensorData::new(packed::pack(&stored, inner), shape), &Device::flex());
            group.bench_function(id("ours, packed"), |bencher| {
                bencher.iter(|| packed::linear(x.clone(), panels.clone(), bias.clone(), Then::Nothing));
            });
            if let Some(rounded) = packed::Rounded::new(&stored, inner) {
                group.bench_function(id("ours, bfloat16"), |bencher| {
                    bencher.iter(|| rounded.linear(x.clone(), bias.clone(), Then::Nothing));
                });
            }
            group.bench_function(id("flex"), |bencher| {
                bencher.iter(|| module::linear(x.clone(), weight.clone(), Some(bias.clone())));
            });
        }
        group.finish();
    }
}

/// The 3 × 3 convolutions of the tokenizer's decoder at 256 pixels, from its finest level to its coarsest.
fn convolution(criterion: &mut Criterion) {
    let mut group = group(criterion, "conv 3 × 3");
    for (channels, side) in [(160, 256), (160, 128), (320, 64), (320, 32), (640, 16)] {
        let x = tensor([1, channels, side, side], 1);
        let (weight, bias) = (tensor([channels, channels, 3, 3], 2), tensor([channels], 3));
        group.throughput(Throughput::Elements((2 * 9 * channels * channels * side * side) as u64));
        let id = |whose: &str| format!("{channels} channels, {side}², {whose}");
        group.bench_function(id("ours"), |bencher| {
            bencher.iter(|| kernels::conv2d_3x3(x.clone(), weight.clone(), Some(bias.clone())));
        });
        group.bench_function(id("flex"), |bencher| {
            let options = || ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
            bencher.iter(|| module::conv2d(x.clone(), weight.clone(), Some(bias.clone()), options()));
        });
    }
    group.finish();
}

/// Both passes of one image at the last scale of 256 pixels: 256 queries over 680 keys, 16 heads of 64
/// channels.
fn attention(criterion: &mut Criterion) {
    let (passes, queries, keys, heads, width) = (2, 256, 680, 16, 64);
    let q = tensor([passes, queries, heads, width], 1);
    let (k, v) = (tensor([passes, keys, heads, width], 2), tensor([passes, keys, heads, width], 3));
    let mut group = group(criterion, "attention, d16's last scale");
    group.throughput(Throughput::Elements((4 * passes * heads * queries * keys * width) as u64));
    group.bench_function("ours", |bencher| {
        bencher.iter(|| kernels::attention(q.clone(), k.clone(), v.clone(), None));
    });
    // Flex expects heads before positions; the conversion is not part of the measurement.
    let [q, k, v] = [q, k, v].map(|x| Tensor::<4>::from_data(x.swap_dims(1, 2).into_data(), &Device::flex()));
    group.bench_function("flex", |bencher| {
        let options = || AttentionModuleOptions { scale: Some(1.0), ..AttentionModuleOptions::default() };
        bencher.iter(|| module::attention(q.clone(), k.clone(), v.clone(), None, None, options()));
    });
    group.finish();
}

criterion_group!(benches, linear, convolution, attention);
criterion_main!(benches);
