//! Extreme values, masks, NaN, empty tensors, and results that must be equal bit for bit.

use burn::tensor::{Device, Distribution, Tensor, TensorData};
use nextscale_kernels as kernels;

fn rows(values: Vec<f32>, length: usize) -> Tensor<2> {
    let count = values.len() / length;
    Tensor::from_data(TensorData::new(values, [count, length]), &Device::flex())
}

fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_to_vec::<f32>().unwrap()
}

/// The slope of `f` at each of the values.
fn slopes(values: &[f32], f: impl Fn(Tensor<1>) -> Tensor<1>) -> Vec<f32> {
    let x = Tensor::<1>::from_floats(values, &Device::flex().autodiff()).require_grad();
    let grads = f(x.clone()).sum().backward();
    numbers(x.grad(&grads).unwrap())
}

#[test]
fn activations_saturate() {
    let far = [-1e30f32, -1e4, -100.0, 100.0, 1e4, 1e30];
    let expected = [0.0f32, 0.0, 0.0, 100.0, 1e4, 1e30];
    let step = [0.0f32, 0.0, 0.0, 1.0, 1.0, 1.0];
    let at = |f: fn(Tensor<1>) -> Tensor<1>| numbers(f(Tensor::from_floats(far, &Device::flex())));
    assert_eq!(at(kernels::silu), expected);
    assert_eq!(at(kernels::gelu_tanh), expected);
    assert_eq!(slopes(&far, kernels::silu), step);
    assert_eq!(slopes(&far, kernels::gelu_tanh), step);
}

#[test]
fn masked_entries_get_probability_zero_and_no_gradient() {
    let hidden = f32::NEG_INFINITY;
    let x = rows(vec![1.0, hidden, 2.0, hidden, 100.0, -100.0, hidden, hidden], 4);
    let y = numbers(kernels::softmax(x.clone()));
    let e = 1.0f32.exp();
    let expected = [1.0 / (1.0 + e), 0.0, e / (1.0 + e), 0.0, 1.0, 0.0, 0.0, 0.0];
    for (y, expected) in y.iter().zip(expected) {
        assert!((y - expected).abs() < 1e-7, "{y} for {expected}");
    }
    let x = Tensor::<2>::from_data(x.into_data(), &Device::flex().autodiff()).require_grad();
    let weight = Tensor::<2>::from_floats([[1.0, 2.0, 3.0, 4.0]], &Device::flex().autodiff());
    let grads = (kernels::softmax(x.clone()) * weight).sum().backward();
    let grad = numbers(x.grad(&grads).unwrap());
    assert!(grad.iter().all(|g| g.is_finite()));
    assert_eq!([grad[1], grad[3], grad[6], grad[7]], [0.0; 4]);
}

#[test]
fn a_row_with_everything_masked_is_nan_and_its_neighbours_are_not() {
    let hidden = f32::NEG_INFINITY;
    let y = numbers(kernels::softmax(rows(vec![hidden, hidden, 0.0, 0.0], 2)));
    assert!(y[0].is_nan() && y[1].is_nan());
    assert_eq!(y[2..], [0.5, 0.5]);
}

#[test]
fn nan_stays_in_its_place() {
    let mut values = vec![0.5f32; 200];
    values[70] = f32::NAN;
    for f in [kernels::silu, kernels::gelu_tanh] as [fn(Tensor<2>) -> Tensor<2>; 2] {
        let nan: Vec<usize> = where_nan(&numbers(f(rows(values.clone(), 50))));
        assert_eq!(nan, [70]);
    }
    assert_eq!(
        where_nan(&numbers(kernels::softmax(rows(values.clone(), 50)))),
        (50..100).collect::<Vec<_>>()
    );
    let y = kernels::layer_norm(rows(values.clone(), 50).reshape([1, 4, 50]), 1e-6);
    assert_eq!(where_nan(&numbers(y)), (50..100).collect::<Vec<_>>());
    let device = Device::flex();
    let (weight, bias) = (Tensor::<1>::ones([4], &device), Tensor::<1>::zeros([4], &device));
    let y = kernels::group_norm_silu(rows(values, 50).reshape([1, 4, 5, 10]), weight, bias, 2, 1e-6);
    assert_eq!(where_nan(&numbers(y)), (0..100).collect::<Vec<_>>());
    assert!(slopes(&[f32::NAN], kernels::silu)[0].is_nan());
    assert!(slopes(&[f32::NAN], kernels::gelu_tanh)[0].is_nan());
}

fn where_nan(values: &[f32]) -> Vec<usize> {
    values.iter().enumerate().filter(|(_, v)| v.is_nan()).map(|(i, _)| i).collect()
}

#[test]
fn empty_tensors_stay_empty() {
    let device = Device::flex();
    let none = || Tensor::<3>::zeros([2, 0, 5], &device);
    let row = || Tensor::<3>::zeros([2, 1, 5], &device);
    assert_eq!(kernels::silu(none()).dims(), [2, 0, 5]);
    assert_eq!(kernels::silu_gate(none(), none()).dims(), [2, 0, 5]);
    assert_eq!(kernels::softmax(none()).dims(), [2, 0, 5]);
    assert_eq!(kernels::layer_norm(none(), 1e-6).dims(), [2, 0, 5]);
    assert_eq!(kernels::layer_norm_modulate(none(), row(), row(), 1e-6).dims(), [2, 0, 5]);
    assert_eq!(kernels::gated_residual(none(), row(), none()).dims(), [2, 0, 5]);
    let (weight, bias) = (Tensor::<1>::ones([4], &device), Tensor::<1>::zeros([4], &device));
    let y = kernels::group_norm(Tensor::<4>::zeros([0, 4, 3, 3], &device), weight, bias, 2, 1e-6);
    assert_eq!(y.dims(), [0, 4, 3, 3]);
}

/// Values and gradients of everything for the images in `x`, with those of the weights listed separately.
fn everything(x: Tensor<4>) -> Vec<Vec<f32>> {
    let device = x.device();
    let [batch, channels, height, width] = x.dims();
    let ramp = |from: f32, shape: Vec<usize>| {
        let count = shape.iter().product::<usize>();
        let values: Vec<f32> = (0..count).map(|i| from + (i as f32 * 0.37).sin()).collect();
        TensorData::new(values, shape)
    };
    let weight = Tensor::<1>::from_data(ramp(1.0, vec![channels]), &device);
    let bias = Tensor::<1>::from_data(ramp(0.0, vec![channels]), &device);
    let kernel = Tensor::<4>::from_data(ramp(0.0, vec![channels, channels, 3, 3]), &device);
    let x = x.require_grad();
    let y = kernels::group_norm_silu(x.clone(), weight.clone(), bias.clone(), channels / 2, 1e-6);
    let y = kernels::conv2d_3x3(y, kernel, Some(bias.clone()));
    let y = kernels::group_norm(y, weight, bias, channels / 2, 1e-6);
    let rows = y.reshape([batch, channels, height * width]).swap_dims(1, 2);
    let row = rows.clone().slice([0..batch, 0..1]);
    let rows = kernels::layer_norm_modulate(rows.clone(), row.clone(), row.clone(), 1e-6);
    let rows = kernels::gated_residual(rows.clone(), row, kernels::gelu_tanh(rows));
    let y = kernels::softmax(kernels::silu(kernels::layer_norm(rows, 1e-6)));
    let grads = (y.clone() * y.clone()).sum().backward();
    let size = channels * height * width;
    let (y, grad) = (numbers(y.inner()), numbers(x.grad(&grads).unwrap()));
    y.chunks(size).zip(grad.chunks(size)).map(|(y, grad)| [y, grad].concat()).collect()
}

#[test]
fn an_image_does_not_depend_on_its_batch() {
    let device = Device::flex().autodiff();
    let images = Tensor::<4>::random([9, 6, 21, 17], Distribution::Normal(0.3, 1.2), &device).detach();
    let together = everything(images.clone());
    for size in [1, 2, 5] {
        let first = 9 - size;
        let apart = everything(images.clone().slice(first..9).detach());
        for (image, apart) in apart.iter().enumerate() {
            assert!(together[first + image] == *apart, "image {image} of a batch of {size} differs");
        }
    }
}

#[test]
fn one_thread_gives_what_many_give() {
    let device = Device::flex().autodiff();
    let images = Tensor::<4>::random([8, 6, 21, 17], Distribution::Normal(0.3, 1.2), &device).detach();
    let of = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let images = images.clone();
        pool.install(|| everything(images))
    };
    assert!(of(1) == of(3));
}
