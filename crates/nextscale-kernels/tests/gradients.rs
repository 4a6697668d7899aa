//! Values and gradients of every operation in f32 (the kernels) against burn's own operations in f64.

use burn::tensor::{DType, Device, Distribution, Tensor, TensorData, activation, module, ops::ConvOptions};
use nextscale_kernels as kernels;
use proptest::prelude::*;

mod random;
use random::random;

const EPS: f64 = 1e-6;

/// A result and the gradients of the inputs, for the loss Σ result · cotangent.
fn outcome<const D: usize>(
    inputs: &[TensorData],
    cotangent: &[f64],
    dtype: DType,
    f: impl Fn(Vec<Tensor<D>>) -> Tensor<D>,
) -> Vec<Vec<f64>> {
    let device = Device::flex().autodiff();
    let inputs: Vec<Tensor<D>> =
        inputs.iter().map(|data| Tensor::from_data(data.clone(), (&device, dtype)).require_grad()).collect();
    let output = f(inputs.clone());
    let count = output.shape().num_elements();
    let cotangent: Vec<f64> = cotangent.iter().copied().cycle().take(count).collect();
    let cotangent = Tensor::<D>::from_data(TensorData::new(cotangent, output.shape()), (&device, dtype));
    let grads = (output.clone() * cotangent).sum().backward();
    let numbers = |t: Tensor<D>| t.into_data().convert::<f64>().try_into_vec::<f64>().unwrap();
    let mut all = vec![numbers(output.inner())];
    all.extend(inputs.iter().map(|x| numbers(x.grad(&grads).expect("every input has a gradient"))));
    all
}

/// The kernels' values and gradients agree with `reference` to within `tolerance` of the largest number.
fn agree<const D: usize>(
    inputs: &[TensorData],
    tolerance: f64,
    kernel: impl Fn(Vec<Tensor<D>>) -> Tensor<D>,
    reference: impl Fn(Vec<Tensor<D>>) -> Tensor<D>,
) {
    agree_beside(inputs, 0.1, tolerance, kernel, reference);
}

/// As [`agree`], if the terms of a result can be as large as `size` and cancel.
fn agree_beside<const D: usize>(
    inputs: &[TensorData],
    size: f64,
    tolerance: f64,
    kernel: impl Fn(Vec<Tensor<D>>) -> Tensor<D>,
    reference: impl Fn(Vec<Tensor<D>>) -> Tensor<D>,
) {
    let cotangent: Vec<f64> = (0..257).map(|i| ((i * 149) % 251) as f64 / 125.0 - 1.0).collect();
    let got = outcome(inputs, &cotangent, DType::F32, &kernel);
    let composed = outcome(inputs, &cotangent, DType::F64, &kernel);
    let exact = outcome(inputs, &cotangent, DType::F64, &reference);
    for (part, ((got, composed), exact)) in got.iter().zip(&composed).zip(&exact).enumerate() {
        assert_eq!(got.len(), exact.len());
        // Gradients of what images share are sums of up to a thousand terms of order one, which cancel.
        let size = if part < 2 { size } else { size.max(10.0) };
        let largest = exact.iter().fold(size, |m, v| m.max(v.abs()));
        for (i, ((got, composed), exact)) in got.iter().zip(composed).zip(exact).enumerate() {
            let off = (got - exact).abs() / largest;
            assert!(off <= tolerance, "part {part} at {i}: {got} for {exact}, off by {off:e}");
            let off = (composed - exact).abs() / largest;
            // Two routes through burn in f64 differ by up to 3e-8: some of its factors are f32.
            assert!(off <= 1e-7, "f64, part {part} at {i}: {composed} for {exact}");
        }
    }
}

/// The largest slope of the rows' unit vectors, one over the shortest row's norm: terms of that size cancel
/// in gradients, completely in a row of one number.
fn steepest(rows: impl Iterator<Item = Vec<f64>>) -> f64 {
    let norms = rows.map(|row| row.iter().map(|x| x * x).sum::<f64>().sqrt());
    norms.fold(0.1, |steepest: f64, norm| steepest.max(1.0 / norm.max(1e-12)))
}

fn normalise<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let (variance, mean) = x.clone().var_mean_bias(D - 1);
    (x - mean) / (variance + EPS).sqrt()
}

fn grouped(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<4>, groups: usize) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let rows = x.reshape([batch, groups, channels / groups * height * width]);
    normalise(rows).reshape([batch, channels, height, width]) * weight + bias
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn elementwise(rows in 1usize..40, length in 1usize..700, seed: u64, spread in 0.1f64..100.0) {
        let x = [random(&[rows, length], seed, spread, 0.0)];
        agree::<2>(&x, 1e-6, |x| kernels::silu(x[0].clone()), |x| x[0].clone() * activation::sigmoid(x[0].clone()));
        agree::<2>(&x, 1e-6, |x| kernels::gelu_tanh(x[0].clone()), |x| activation::gelu_approximate(x[0].clone()));
    }

    #[test]
    fn softmax(batch in 1usize..4, rows in 1usize..20, length in 1usize..300, seed: u64, spread in 0.1f64..100.0) {
        let x = [random(&[batch, rows, length], seed, spread, 0.0)];
        agree_beside::<3>(&x, 1.0, 4e-7, |x| kernels::softmax(x[0].clone()), |x| activation::softmax(x[0].clone(), 2));
    }

    #[test]
    fn unit_norm(batch in 1usize..4, rows in 1usize..20, length in 1usize..80, seed: u64, spread in 0.1f64..100.0) {
        let x = [random(&[batch, rows, length], seed, spread, 0.0)];
        let steepest = steepest(x[0].clone().iter::<f64>().collect::<Vec<_>>().chunks(length).map(|row| row.to_vec()));
        agree_beside::<3>(&x, steepest, 2e-6, |x| kernels::unit(x[0].clone()), |x| {
            let square = (x[0].clone() * x[0].clone()).sum_dim(2);
            x[0].clone() / square.clamp_min(1e-24).sqrt()
        });
    }

    #[test]
    fn unit_channels(
        batch in 1usize..4, channels in 1usize..20, height in 1usize..9, width in 1usize..9, seed: u64,
        spread in 0.1f64..100.0,
    ) {
        let x = [random(&[batch, channels, height, width], seed, spread, 0.0)];
        let (numbers, plane) = (x[0].clone().iter::<f64>().collect::<Vec<_>>(), height * width);
        let images = numbers.chunks(channels * plane);
        let pixels = images.flat_map(|image| (0..plane).map(|at| image.iter().skip(at).step_by(plane).copied().collect()));
        agree_beside::<4>(&x, steepest(pixels), 2e-6, |x| kernels::unit_channels(x[0].clone(), 1e-8), |x| {
            x[0].clone() / ((x[0].clone() * x[0].clone()).sum_dim(1) + 1e-8).sqrt()
        });
    }

    #[test]
    fn layer_norm(batch in 1usize..4, rows in 1usize..20, length in 8usize..300, seed: u64, centre in -3.0f64..3.0) {
        let x = [random(&[batch, rows, length], seed, 1.5, centre)];
        agree::<3>(&x, 4e-6, |x| kernels::layer_norm(x[0].clone(), EPS), |x| normalise(x[0].clone()));
    }

    #[test]
    fn modulation(batch in 1usize..4, rows in 1usize..20, length in 8usize..300, seed: u64) {
        let row = [batch, 1, length];
        let inputs = [
            random(&[batch, rows, length], seed, 1.5, 0.5),
            random(&row, seed ^ 1, 1.0, 0.0),
            random(&row, seed ^ 2, 1.0, 0.0),
        ];
        agree::<3>(
            &inputs,
            4e-6,
            |x| kernels::layer_norm_modulate(x[0].clone(), x[1].clone(), x[2].clone(), EPS),
            |x| normalise(x[0].clone()) * (x[1].clone() + 1.0) + x[2].clone(),
        );
    }

    #[test]
    fn group_norm(
        batch in 1usize..5, groups in 1usize..5, each in 1usize..5, height in 1usize..12, width in 8usize..20, seed: u64,
    ) {
        let channels = groups * each;
        let inputs = [
            random(&[batch, channels, height, width], seed, 1.5, 0.5),
            random(&[1, channels, 1, 1], seed ^ 1, 1.0, 0.5),
            random(&[1, channels, 1, 1], seed ^ 2, 1.0, 0.0),
        ];
        let affine = |x: &[Tensor<4>]| {
            (x[1].clone().reshape([channels]), x[2].clone().reshape([channels]))
        };
        agree::<4>(
            &inputs,
            6e-6,
            |x| {
                let (weight, bias) = affine(&x);
                kernels::group_norm(x[0].clone(), weight, bias, groups, EPS)
            },
            |x| grouped(x[0].clone(), x[1].clone(), x[2].clone(), groups),
        );
        agree::<4>(
            &inputs,
            6e-6,
            |x| {
                let (weight, bias) = affine(&x);
                kernels::group_norm_silu(x[0].clone(), weight, bias, groups, EPS)
            },
            |x| activation::silu(grouped(x[0].clone(), x[1].clone(), x[2].clone(), groups)),
        );
    }

    #[test]
    fn gated_residual(batch in 1usize..4, rows in 1usize..20, length in 1usize..300, seed: u64) {
        let inputs = [
            random(&[batch, rows, length], seed, 1.5, 0.5),
            random(&[batch, 1, length], seed ^ 1, 1.0, 0.0),
            random(&[batch, rows, length], seed ^ 2, 1.0, 0.0),
        ];
        agree::<3>(
            &inputs,
            1e-6,
            |x| kernels::gated_residual(x[0].clone(), x[1].clone(), x[2].clone()),
            |x| x[0].clone() + x[1].clone() * x[2].clone(),
        );
    }

    #[test]
    fn convolution(
        batch in 1usize..4, channels in 1usize..20, out in 1usize..20, height in 1usize..12, width in 1usize..12,
        seed: u64,
    ) {
        let inputs = [
            random(&[batch, channels, height, width], seed, 1.5, 0.0),
            random(&[out, channels, 3, 3], seed ^ 1, 0.5, 0.0),
            random(&[1, out, 1, 1], seed ^ 2, 0.5, 0.0),
        ];
        let options = || ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        agree::<4>(
            &inputs,
            4e-6,
            |x| kernels::conv2d_3x3(x[0].clone(), x[1].clone(), Some(x[2].clone().reshape([out]))),
            |x| module::conv2d(x[0].clone(), x[1].clone(), None, options()) + x[2].clone(),
        );
    }

    #[test]
    fn convolution_of_single_pixels(
        batch in 1usize..20, channels in 1usize..20, out in 1usize..20, height in 1usize..12, width in 1usize..12,
        seed: u64,
    ) {
        let inputs = [
            random(&[batch, channels, height, width], seed, 1.5, 0.0),
            random(&[out, channels, 1, 1], seed ^ 1, 0.5, 0.0),
            random(&[1, out, 1, 1], seed ^ 2, 0.5, 0.0),
        ];
        let options = || ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
        agree::<4>(
            &inputs,
            4e-6,
            |x| kernels::conv2d_1x1(x[0].clone(), x[1].clone(), x[2].clone().reshape([out])),
            |x| module::conv2d(x[0].clone(), x[1].clone(), None, options()) + x[2].clone(),
        );
    }

    #[test]
    fn attention(
        batch in 1usize..4, queries in 1usize..80, keys in 1usize..80, heads in 1usize..4, width in 1usize..20,
        masked: bool, by_image: bool, by_query: bool, seed: u64,
    ) {
        let mask = masked.then(|| {
            let (images, rows) = (if by_image { batch } else { 1 }, if by_query { queries } else { 1 });
            // A block of keys that later queries see: every query sees the first.
            let entry = |i: usize| match (i % keys, i / keys % rows + i / keys / rows) {
                (key, seen) if key > seen => f64::NEG_INFINITY,
                _ => (i % 7) as f64 / 7.0,
            };
            let entries = (0..images * rows * keys).map(entry).collect::<Vec<f64>>();
            TensorData::new(entries, [images, rows, keys])
        });
        let mask = |x: &Tensor<4>| {
            mask.clone().map(|mask| Tensor::<3>::from_data(mask, (&x.device(), x.dtype())))
        };
        let inputs = [
            random(&[batch, queries, heads, width], seed, 1.0, 0.0),
            random(&[batch, keys, heads, width], seed ^ 1, 1.0, 0.0),
            random(&[batch, keys, heads, width], seed ^ 2, 1.0, 0.0),
        ];
        agree::<4>(
            &inputs,
            4e-6,
            |x| kernels::attention(x[0].clone(), x[1].clone(), x[2].clone(), mask(&x[0])),
            |x| {
                let scores = x[0].clone().swap_dims(1, 2).matmul(x[1].clone().permute([0, 2, 3, 1]));
                let scores = match mask(&x[0]) {
                    Some(mask) => scores + mask.unsqueeze_dim::<4>(1),
                    None => scores,
                };
                activation::softmax(scores, 3).matmul(x[2].clone().swap_dims(1, 2)).swap_dims(1, 2)
            },
        );
    }

    #[test]
    fn linear_layer(rows in 1usize..70, inner in 1usize..70, out in 1usize..200, seed: u64) {
        let inputs = [
            random(&[rows, inner], seed, 1.5, 0.0),
            random(&[inner, out], seed ^ 1, 0.5, 0.0),
            random(&[1, out], seed ^ 2, 0.5, 0.0),
        ];
        agree::<2>(
            &inputs,
            4e-6,
            |x| kernels::linear(x[0].clone(), x[1].clone(), Some(x[2].clone().reshape([out]))),
            |x| x[0].clone().matmul(x[1].clone()) + x[2].clone(),
        );
    }
}

#[test]
fn rows_that_broadcast_another_way_are_composed() {
    let inputs = [
        random(&[2, 5, 24], 7, 1.0, 0.2),
        random(&[2, 5, 24], 8, 1.0, 0.0),
        random(&[1, 1, 24], 9, 1.0, 0.0),
    ];
    agree::<3>(
        &inputs,
        4e-6,
        |x| {
            let modulated = kernels::layer_norm_modulate(x[0].clone(), x[1].clone(), x[2].clone(), EPS);
            kernels::gated_residual(modulated, x[2].clone(), x[1].clone())
        },
        |x| {
            let modulated = normalise(x[0].clone()) * (x[1].clone() + 1.0) + x[2].clone();
            modulated + x[2].clone() * x[1].clone()
        },
    );
}

#[test]
fn views_are_read_in_their_own_order() {
    let x = [random(&[6, 9, 10], 3, 2.0, 0.0)];
    let views: [fn(Tensor<3>) -> Tensor<3>; 3] =
        [|x| x.swap_dims(1, 2), |x| x.slice([1..5, 2..8, 0..10]), |x| x.slice(2..4).permute([2, 0, 1])];
    for view in views {
        agree::<3>(
            &x,
            2e-6,
            |x| kernels::softmax(view(kernels::silu(view(x[0].clone())))),
            |x| activation::softmax(view(activation::silu(view(x[0].clone()))), 2),
        );
    }
}

#[test]
fn constants_beside_tracked_tensors_get_no_gradient() {
    let device = Device::flex().autodiff();
    let plain = Device::flex();
    let x = Tensor::<4>::ones([2, 4, 3, 3], &device).require_grad();
    let weight = Tensor::<1>::ones([4], &device);
    let bias = Tensor::<1>::ones([4], &plain);
    let y = kernels::group_norm(x.clone(), weight.clone(), bias, 2, EPS);
    let grads = y.sum().backward();
    assert!(x.grad(&grads).is_some());
    assert!(weight.grad(&grads).is_none());
}

#[test]
fn gradients_under_checkpointing_are_the_same() {
    let gradient = |device: Device| {
        let data = random(&[3, 7, 40], 11, 2.0, 0.0);
        let x = Tensor::<3>::from_data(data, &device).require_grad();
        let y = kernels::gelu_tanh(x.clone() * 1.5) + kernels::softmax(x.clone().exp());
        let y = kernels::gated_residual(y.clone(), y.clone().mean_dim(1), kernels::layer_norm(y, EPS));
        let grads = (y.clone() * y).sum().backward();
        x.grad(&grads).unwrap().into_data()
    };
    let straight = gradient(Device::flex().autodiff());
    let checkpointed = gradient(Device::flex().autodiff().gradient_checkpointing());
    assert_eq!(straight, checkpointed);
}

#[test]
fn a_result_used_twice_adds_its_gradients() {
    let x = [random(&[3, 50], 5, 2.0, 0.0)];
    let twice = |f: fn(Tensor<2>) -> Tensor<2>| {
        move |x: Vec<Tensor<2>>| {
            let y = f(x[0].clone());
            y.clone() * y + x[0].clone()
        }
    };
    agree::<2>(&x, 2e-6, twice(kernels::silu), twice(activation::silu));
}

#[test]
fn half_precision_takes_the_composed_route() {
    let device = Device::flex();
    let x = Tensor::<2>::random([4, 16], Distribution::Uniform(-2.0, 2.0), &device).cast(DType::F16);
    let y = kernels::softmax(kernels::silu(x));
    assert_eq!(y.dtype(), DType::F16);
    for total in y.cast(DType::F32).sum_dim(1).into_data().try_to_vec::<f32>().unwrap() {
        assert!((total - 1.0).abs() < 5e-3);
    }
}

#[test]
fn cross_entropy_is_that_of_the_log_softmax_and_so_is_its_gradient() {
    let device = Device::flex().autodiff();
    for (rows, classes, spread) in [(1, 1, 1.0), (3, 7, 4.0), (70, 300, 30.0), (500, 2048, 1.0)] {
        let data = random(&[rows, classes], 7, spread, 1.0);
        let targets: Vec<i64> = (0..rows).map(|row| (row * 37 % classes) as i64).collect();
        let targets =
            Tensor::<1, burn::tensor::Int>::from_data(TensorData::new(targets, [rows]), &Device::flex());
        let slopes = Tensor::<1>::from_data(random(&[rows], 9, 1.0, 0.0).convert::<f32>(), &device);
        let of = |dtype: DType| {
            let logits = Tensor::<2>::from_data(data.clone(), (&device, dtype)).require_grad();
            let values = kernels::cross_entropy(logits.clone(), targets.clone());
            let gradients = (values.clone() * slopes.clone().cast(dtype)).sum().backward();
            let numbers = |data: TensorData| data.convert::<f64>().try_into_vec::<f64>().unwrap();
            (numbers(values.inner().into_data()), numbers(logits.grad(&gradients).unwrap().into_data()))
        };
        let (kernel, exact) = (of(DType::F32), of(DType::F64));
        for (kernel, exact) in kernel.0.iter().zip(&exact.0) {
            assert!((kernel - exact).abs() < 4e-6 * exact.abs().max(1.0), "{kernel} {exact}");
        }
        for (kernel, exact) in kernel.1.iter().zip(&exact.1) {
            assert!((kernel - exact).abs() < 1e-6, "{kernel} {exact}");
        }
    }
}

#[test]
#[should_panic(expected = "class 5 of 3")]
fn cross_entropy_with_a_class_that_is_none_is_refused() {
    let device = Device::flex();
    let targets = Tensor::<1, burn::tensor::Int>::from_data([0i64, 5], &device);
    kernels::cross_entropy(Tensor::zeros([2, 3], &device), targets);
}
