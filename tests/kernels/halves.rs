//! Kernels that read and write f16, beside the CPU's f32 on the same numbers: they round their results once, and nothing
//! before.

use burn::tensor::{DType, Device, Tensor};
use nextscale_kernels::{
    attention, conv2d_of_halves, device, group_norm_in, group_norm_silu, heads, in_type, layer_norm_modulate,
    layer_norm_modulate_in, product, rms_norm_modulate, rms_norm_modulate_in, rotate, rotate_halves, softmax,
    softmax_in,
};

use super::made;

const HALF: DType = DType::F16;
/// Half the distance between neighbouring numbers of 11 bits, as a part of them.
const ROUNDED: f64 = 1.0 / 2048.0;

pub fn run(device: &Device) {
    assert!(device.supports_dtype(HALF), "the device has f16");
    norms(device);
    projections(device);
    attentions(device);
    feature_maps(device);
    caches(device);
}

/// Numbers that f16 has, in f32.
fn exact<const D: usize>(salt: u64, shape: [usize; D]) -> Tensor<D> {
    in_type(in_type(made(&Device::flex(), salt, shape), HALF), DType::F32)
}

fn on<const D: usize>(device: &Device, x: &Tensor<D>, dtype: DType) -> Tensor<D> {
    in_type(Tensor::from_data(x.clone().into_data(), device), dtype)
}

fn read<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().try_into_vec_as().unwrap()
}

/// Checks every number: off by `rounding` of its value, and by `slack` of the largest one for what f32 rounds.
#[track_caller]
fn assert_rounded<const D: usize>(
    found: Tensor<D>,
    dtype: DType,
    expected: Tensor<D>,
    rounding: f64,
    slack: f64,
    what: &str,
) {
    assert_eq!((found.dtype(), found.dims()), (dtype, expected.dims()), "{what}");
    let (found, expected) = (read(found), read(expected));
    let reach = expected.iter().fold(0.0_f64, |reach, x| reach.max(f64::from(x.abs())));
    let mut worst = 0.0_f64;
    for (found, expected) in found.into_iter().zip(expected).map(|(a, b)| (f64::from(a), f64::from(b))) {
        let gap = (found - expected).abs() - rounding * expected.abs();
        assert!(gap <= slack * reach, "{what}: {found}, expected {expected}");
        worst = worst.max(gap / reach);
    }
    println!("f16, {what}: beyond its rounding within {worst:.1e} of the largest number");
}

fn norms(device: &Device) {
    for shape @ [batch, _, channels] in [[2, 9, 37], [3, 70, 64], [1, 3, 5000]] {
        let x = exact(41, shape) + 3.0;
        let both = made::<3>(&Device::flex(), 42, [batch, 1, 2 * channels]);
        let [scale, shift] = [0, 1].map(|i| both.clone().slice_dim(2, i * channels..(i + 1) * channels));
        let given = || [&x, &scale, &shift].map(|x| on(device, x, DType::F32));
        let [a, b, c] = given();
        let expected = layer_norm_modulate(x.clone(), scale.clone(), shift.clone(), 1e-6);
        let found = layer_norm_modulate_in(a, b, c, 1e-6, HALF);
        assert_rounded(found, HALF, expected, ROUNDED, 3e-6, "layer norm");
        let [a, b, c] = given();
        let expected = rms_norm_modulate(x.clone(), scale.clone(), shift.clone(), 1e-6);
        let found = rms_norm_modulate_in(a, b, c, 1e-6, HALF);
        assert_rounded(found, HALF, expected, ROUNDED, 3e-6, "root-mean-square norm");
    }
}

fn projections(device: &Device) {
    for [batch, positions, count, width] in [[1, 1, 1, 2], [2, 9, 3, 8], [2, 70, 16, 64]] {
        let x = exact(43, [batch, positions, 3 * count * width]);
        let bias = made::<1>(&Device::flex(), 44, [3 * count * width]);
        let scale = made::<1>(&Device::flex(), 45, [count]);
        for unit in [false, true] {
            let expected = heads(x.clone(), Some(bias.clone()), scale.clone(), unit);
            let [bias, scale] = [&bias, &scale].map(|x| on(device, x, DType::F32));
            let found = heads(on(device, &x, HALF), Some(bias), scale, unit);
            for (found, expected) in found.into_iter().zip(expected) {
                assert_rounded(found, HALF, expected, ROUNDED, 1e-6, "heads");
            }
        }
        let x = exact(46, [batch, positions, count, width]);
        let turns = made::<2>(&Device::flex(), 47, [positions, width]);
        let expected = rotate(x.clone(), turns.clone());
        let found = rotate(on(device, &x, HALF), on(device, &turns, DType::F32));
        assert_rounded(found, HALF, expected, ROUNDED, 1e-6, "rotated pairs");
        let turns = made::<4>(&Device::flex(), 48, [1, positions, 2, width]);
        let expected = rotate_halves(x.clone(), turns.clone());
        let found = rotate_halves(on(device, &x, HALF), on(device, &turns, DType::F32));
        assert_rounded(found, HALF, expected, ROUNDED, 1e-6, "rotated halves");
    }
}

fn attentions(device: &Device) {
    for [rows, inner, columns] in [[1, 64, 5], [70, 33, 129], [64, 640, 64]] {
        let (a, b) = (exact(49, [2, rows, inner]), exact(50, [2, inner, columns]));
        let found = product(on(device, &a, HALF), on(device, &b, HALF));
        // As f32 sums: of f16 they would be a thousand times further off.
        assert_rounded(found, DType::F32, a.matmul(b), 0.0, 3e-6, "sums of a product");
    }
    let scores = made::<4>(&Device::flex(), 51, [2, 3, 7, 310]);
    let found = softmax_in(on(device, &scores, DType::F32), HALF);
    assert_rounded(found, HALF, softmax(scores), ROUNDED, 3e-5, "softmax");
    for [batch, queries, keys, count, width] in [[1, 1, 1, 1, 8], [2, 9, 14, 3, 16], [2, 64, 200, 2, 64]] {
        let q = exact(52, [batch, queries, count, width]) * 0.125;
        let [k, v] = [53, 54].map(|salt| exact(salt, [batch, keys, count, width]));
        let mask = made::<3>(&Device::flex(), 55, [1, 1, keys]);
        for mask in [None, Some(mask)] {
            let expected = attention(q.clone(), k.clone(), v.clone(), mask.clone());
            let [q, k, v] = [&q, &k, &v].map(|x| on(device, x, HALF));
            let found = attention(q, k, v, mask.map(|mask| on(device, &mask, DType::F32)));
            // Its weights are rounded, too.
            assert_rounded(found, HALF, expected, ROUNDED, 5e-4, "attention");
        }
    }
}

fn feature_maps(device: &Device) {
    for ([batch, channels, height, width], outputs, groups) in
        // The last has a group that several cubes take.
        [
            ([2, 20, 7, 9], 3, 5),
            ([1, 32, 16, 16], 40, 32),
            ([1, 1, 1, 5], 1, 1),
            ([1, 4, 100, 91], 2, 1),
        ]
    {
        let x = exact(56, [batch, channels, height, width]);
        let (weight, bias) = (made::<1>(&Device::flex(), 57, [channels]), exact::<1>(58, [channels]));
        let expected = group_norm_silu(x.clone(), weight.clone(), bias.clone(), groups, 1e-6);
        for to in [HALF, DType::F32] {
            let [weight, bias] = [&weight, &bias].map(|x| on(device, x, DType::F32));
            let found = group_norm_in(on(device, &x, HALF), weight, bias, groups, 1e-6, true, to);
            let rounding = if to == HALF { ROUNDED } else { 0.0 };
            assert_rounded(found, to, expected.clone(), rounding, 1e-5, "group norm and SiLU");
        }
        for size in [1, 3] {
            let (weight, bias) = (exact(59, [outputs, channels, size, size]), exact::<1>(60, [outputs]));
            let around = size / 2;
            let options = burn::tensor::ops::ConvOptions::new([1, 1], [around, around], [1, 1], 1);
            let expected =
                burn::tensor::module::conv2d(x.clone(), weight.clone(), Some(bias.clone()), options);
            let found =
                conv2d_of_halves(on(device, &x, HALF), on(device, &weight, HALF), on(device, &bias, HALF));
            assert_rounded(found, HALF, expected, ROUNDED, 3e-6, "convolution");
        }
    }
}

fn caches(device: &Device) {
    let (room, at) = (9, 4);
    let buffers = || [61, 62].map(|salt| exact(salt, [2, 3, room, 5]));
    let new = || [63, 64].map(|salt| exact(salt, [2, 3, 2, 5]));
    let expected = buffers()
        .into_iter()
        .zip(new())
        .map(|(buffer, new)| buffer.slice_assign([0..2, 0..3, at..at + 2, 0..5], new));
    let of = |x: [Tensor<4>; 2]| x.map(|x| on(device, &x, HALF));
    let found = device::append(of(buffers()), of(new()), at).expect("the device has kernels");
    for (found, expected) in found.into_iter().zip(expected) {
        let part = device::first(found.clone(), at + 2).expect("the device has kernels");
        assert_rounded(found, HALF, expected.clone(), 0.0, 0.0, "a cache");
        let expected = expected.slice_dim(2, 0..at + 2);
        assert_rounded(part, HALF, expected, 0.0, 0.0, "the beginning of a cache");
    }
    // Of two types there is no kernel.
    let [keys, values] = buffers().map(|x| on(device, &x, DType::F32));
    assert!(device::append([keys, values], of(new()), at).is_err());
}
