//! Times every operation, forward and forward with backward, against burn's own operations on the CPU:
//! `cargo run -p nextscale-kernels --example time_kernels [part of a name]`.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Distribution, Tensor, activation, module, ops::ConvOptions};
use nextscale_kernels as kernels;

const EPS: f64 = 1e-6;

fn median(mut run: impl FnMut()) -> f64 {
    run();
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < 5 || (start.elapsed() < Duration::from_millis(600) && times.len() < 60) {
        let one = Instant::now();
        run();
        times.push(one.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

/// Inputs of rank D, and an operation's other tensors.
struct Inputs<const D: usize> {
    x: Tensor<D>,
    others: Vec<Tensor<D>>,
}

impl<const D: usize> Inputs<D> {
    fn new(x: [usize; D], others: &[[usize; D]], device: &Device) -> Self {
        let random = |shape| {
            let tensor = random(shape, device);
            if device.is_autodiff() { tensor.require_grad() } else { tensor }
        };
        Inputs { x: random(x), others: others.iter().map(|&shape| random(shape)).collect() }
    }
}

type Op<'a, const D: usize> = &'a dyn Fn(&Inputs<D>) -> Tensor<D>;

fn compare<const D: usize>(name: &str, x: [usize; D], others: &[[usize; D]], flex: Op<D>, kernel: Op<D>) {
    if std::env::args().nth(1).is_some_and(|part| !name.contains(&part)) {
        return;
    }
    let plain = Inputs::new(x, others, &Device::flex());
    let tracked = Inputs::new(x, others, &Device::flex().autodiff());
    let forward = |op: Op<D>| median(|| drop(std::hint::black_box(op(&plain))));
    let both = |op: Op<D>| {
        let y = op(&tracked).inner();
        let cotangent = Tensor::from_inner(random(y.dims(), &Device::flex()));
        // The two operations of the loss itself are timed separately and subtracted.
        let loss = median(|| {
            let y = Tensor::from_inner(y.clone()).require_grad();
            drop(std::hint::black_box((y * cotangent.clone()).sum().backward()));
        });
        median(|| drop(std::hint::black_box((op(&tracked) * cotangent.clone()).sum().backward()))) - loss
    };
    let (flex_forward, forward) = (forward(flex), forward(kernel));
    let (flex_both, both) = (both(flex), both(kernel));
    println!(
        "{name:<22} {:<20} {flex_forward:>9.3} {forward:>9.3} {:>6.1}x {flex_both:>10.3} {both:>9.3} {:>6.1}x",
        format!("{x:?}"),
        flex_forward / forward,
        flex_both / both
    );
}

fn normalise<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let (variance, mean) = x.clone().var_mean_bias(D - 1);
    (x - mean) / (variance + EPS).sqrt()
}

fn grouped(input: &Inputs<4>) -> Tensor<4> {
    let [batch, channels, height, width] = input.x.dims();
    let rows = input.x.clone().reshape([batch, 32, channels / 32 * height * width]);
    let normal = normalise(rows).reshape([batch, channels, height, width]);
    normal * input.others[0].clone() + input.others[1].clone()
}

fn affine(input: &Inputs<4>) -> (Tensor<1>, Tensor<1>) {
    (input.others[0].clone().flatten(0, 3), input.others[1].clone().flatten(0, 3))
}

fn main() {
    kernels::allocator::tune();
    println!(
        "milliseconds {:>31} {:>9} {:>7} {:>10} {:>9} {:>7}",
        "flex", "here", "", "flex +back", "here", ""
    );
    for shape in [[1, 680, 4096], [32, 129, 640], [32, 129, 2560]] {
        compare::<3>("gelu_tanh", shape, &[], &|i| activation::gelu_approximate(i.x.clone()), &|i| {
            kernels::gelu_tanh(i.x.clone())
        });
    }
    for shape in [[1, 160, 256, 256], [64, 32, 32, 32]] {
        compare::<4>("silu", shape, &[], &|i| activation::silu(i.x.clone()), &|i| kernels::silu(i.x.clone()));
    }
    for shape in [[16, 256, 680], [160, 129, 129]] {
        compare::<3>("softmax", shape, &[], &|i| activation::softmax(i.x.clone(), 2), &|i| {
            kernels::softmax(i.x.clone())
        });
    }
    for shape in [[1, 680, 1024], [32, 129, 320]] {
        let row = [shape[0], 1, shape[2]];
        compare::<3>("layer_norm", shape, &[], &|i| normalise(i.x.clone()), &|i| {
            kernels::layer_norm(i.x.clone(), EPS)
        });
        compare::<3>(
            "layer_norm_modulate",
            shape,
            &[row, row],
            &|i| normalise(i.x.clone()) * (i.others[0].clone() + 1.0) + i.others[1].clone(),
            &|i| kernels::layer_norm_modulate(i.x.clone(), i.others[0].clone(), i.others[1].clone(), EPS),
        );
        compare::<3>(
            "gated_residual",
            shape,
            &[row, shape],
            &|i| i.x.clone() + i.others[0].clone() * i.others[1].clone(),
            &|i| kernels::gated_residual(i.x.clone(), i.others[0].clone(), i.others[1].clone()),
        );
    }
    for shape in [[1, 160, 256, 256], [64, 32, 32, 32], [64, 64, 16, 16], [64, 128, 8, 8]] {
        let each = [1, shape[1], 1, 1];
        compare::<4>("group_norm", shape, &[each, each], &grouped, &|i| {
            let (weight, bias) = affine(i);
            kernels::group_norm(i.x.clone(), weight, bias, 32, EPS)
        });
        compare::<4>("group_norm_silu", shape, &[each, each], &|i| activation::silu(grouped(i)), &|i| {
            let (weight, bias) = affine(i);
            kernels::group_norm_silu(i.x.clone(), weight, bias, 32, EPS)
        });
    }
    for shape in [[64, 32, 32, 32], [64, 64, 16, 16], [64, 128, 8, 8], [1, 160, 256, 256], [1, 640, 16, 16]] {
        let kernel = [shape[1], shape[1], 3, 3];
        let each = [1, shape[1], 1, 1];
        compare::<4>(
            "conv2d_3x3",
            shape,
            &[kernel, each],
            &|i| {
                let bias = i.others[1].clone().flatten(0, 3);
                let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
                module::conv2d(i.x.clone(), i.others[0].clone(), Some(bias), options)
            },
            &|i| {
                kernels::conv2d_3x3(i.x.clone(), i.others[0].clone(), Some(i.others[1].clone().flatten(0, 3)))
            },
        );
    }
}
