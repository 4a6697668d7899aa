//! Kernels of the models' layers beside sums in f64.

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_kernels::device::{append, faults, first};
use nextscale_kernels::{group_norm, group_norm_silu, softmax};

use super::{numbers, on, uniform, used};

pub fn run(device: &Device) {
    // Three orders of memory each: of five lengths; of four shapes, with and without an activation.
    used("softmax", 15, || softmaxes(device));
    used("group_norm", 24, || group_norms(device));
    beginnings(device);
    appended(device);
    undrawable(device);
}

fn four(device: &Device, shape: [usize; 4], salt: u64) -> (Vec<f32>, Tensor<4>) {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|place| (uniform(salt, place) - 0.4) * 6.0).collect();
    let tensor = Tensor::from_data(TensorData::new(values.clone(), shape), device);
    (values, tensor)
}

fn read<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec_as().unwrap()
}

fn assert_close(found: &[f32], expected: &[f64], bound: f64, what: &str) {
    assert_eq!(found.len(), expected.len());
    for (place, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let gap = (f64::from(found) - expected).abs();
        assert!(gap <= bound * expected.abs().max(1.0), "{what}: {found} at {place}, expected {expected}");
    }
}

fn softmaxes(device: &Device) {
    for length in [1, 5, 64, 310, 680] {
        let shape = [2, 3, 5, length];
        let (mut values, _) = four(device, shape, 31);
        // Some of a row, all of one, and NaN in one.
        values[0] = f32::NEG_INFINITY;
        values[length..2 * length].fill(f32::NEG_INFINITY);
        values[3 * length - 1] = f32::NAN;
        values[3 * length] = -f32::NAN;
        let x: Tensor<4> = Tensor::from_data(TensorData::new(values.clone(), shape), device);
        let found = read(softmax(x.clone()));
        // The same numbers in rows that are further apart, and in another order.
        let apart = Tensor::cat(vec![x.clone(), x.clone()], 3).slice([0..2, 0..3, 0..5, 0..length]);
        let swapped = x.swap_dims(1, 2).reshape([2, 5, 3, length]).swap_dims(1, 2);
        for other in [apart, swapped].map(|x| read(softmax(x))) {
            let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert!(bits(&other) == bits(&found), "rows of {length}");
        }
        for (row, (found, values)) in found.chunks(length).zip(values.chunks(length)).enumerate() {
            let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            if largest == f32::NEG_INFINITY || values.iter().any(|value| value.is_nan()) {
                assert!(found.iter().all(|value| value.is_nan()), "row {row} of {length}: {found:?}");
                continue;
            }
            let weights: Vec<f64> = values.iter().map(|&value| f64::from(value - largest).exp()).collect();
            let total: f64 = weights.iter().sum();
            let expected: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
            assert_close(found, &expected, 1e-6, &format!("softmax of {length}, row {row}"));
        }
    }
}

fn group_norms(device: &Device) {
    for ([batch, channels, height, width], groups) in
        // The last has groups that several cubes take, with a part that is not full.
        [([2, 20, 7, 9], 5), ([1, 32, 16, 16], 32), ([3, 6, 1, 4], 1), ([2, 6, 130, 131], 3)]
    {
        let (values, x) = four(device, [batch, channels, height, width], 32);
        let row = |salt| (0..channels).map(|place| uniform(salt, place) + 0.5).collect::<Vec<f32>>();
        let (weights, biases) = (row(33), row(34));
        let given =
            |values: &[f32]| Tensor::<1>::from_data(TensorData::new(values.to_vec(), [channels]), device);
        let members = channels / groups * height * width;
        let mut expected = Vec::new();
        for (group, values) in values.chunks(members).enumerate() {
            let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / members as f64;
            let square =
                values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / members as f64;
            expected.extend(values.iter().enumerate().map(|(i, &value)| {
                let channel = group % groups * (channels / groups) + i / (height * width);
                let unscaled = (f64::from(value) - mean) / (square + 1e-6).sqrt();
                unscaled * f64::from(weights[channel]) + f64::from(biases[channel])
            }));
        }
        let activated: Vec<f64> = expected.iter().map(|&value| value / (1.0 + (-value).exp())).collect();
        // In the order of its dimensions, with channels side by side, and with gaps.
        let pixels = x.clone().permute([0, 2, 3, 1]).reshape([batch * height * width * channels]);
        let pixels = pixels.reshape([batch, height, width, channels]).permute([0, 3, 1, 2]);
        let gaps =
            Tensor::cat(vec![x.clone(), x.clone()], 3).slice([0..batch, 0..channels, 0..height, 0..width]);
        for (order, x) in [("channels", x), ("pixels", pixels), ("gaps", gaps)] {
            let what = format!("group norm of {channels} channels in {groups} groups, {order}");
            let (weight, bias) = (given(&weights), given(&biases));
            let found = read(group_norm(x.clone(), weight.clone(), bias.clone(), groups, 1e-6));
            assert_close(&found, &expected, 1e-5, &what);
            assert_close(&read(group_norm_silu(x, weight, bias, groups, 1e-6)), &activated, 1e-5, &what);
        }
    }
}

fn beginnings(device: &Device) {
    let (values, x) = four(device, [2, 3, 10, 8], 35);
    for count in [1, 3, 7, 10] {
        let expected: Vec<f32> = values.chunks(80).flat_map(|part| part[..8 * count].to_vec()).collect();
        let part = first(x.clone(), count).expect("the device has kernels");
        assert_eq!(part.dims(), [2, 3, count, 8]);
        assert_eq!(read(part.clone()), expected);
        // As the operations that read it do.
        let product = part.clone().matmul(part.swap_dims(2, 3));
        for (found, part) in read(product).chunks(count * count).zip(expected.chunks(8 * count)) {
            let rows: Vec<&[f32]> = part.chunks(8).collect();
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
            let expected: Vec<f64> = rows.iter().flat_map(|a| rows.iter().map(|b| dot(a, b))).collect();
            assert_close(found, &expected, 1e-5, "the product of a beginning");
        }
    }
}

fn appended(device: &Device) {
    let (first, x) = four(device, [2, 3, 10, 8], 37);
    let (second, y) = four(device, [2, 3, 10, 8], 38);
    let (new, z) = four(device, [2, 3, 4, 8], 39);
    let (other, w) = four(device, [2, 3, 4, 8], 40);
    let with = |values: &[f32], new: &[f32], at: usize| -> Vec<f32> {
        let parts = values.chunks(80).zip(new.chunks(32));
        parts.flat_map(|(part, new)| [&part[..8 * at], new, &part[8 * at + 32..]].concat()).collect()
    };
    // The same numbers with other strides, both alike and one of them.
    let turned =
        |x: Tensor<4>| x.permute([0, 2, 1, 3]).reshape([192]).reshape([2, 4, 3, 8]).permute([0, 2, 1, 3]);
    for at in [0, 3, 6] {
        for new_pair in
            [[z.clone(), w.clone()], [turned(z.clone()), turned(w.clone())], [turned(z.clone()), w.clone()]]
        {
            let found =
                append([x.clone(), y.clone()], new_pair, at).expect("the device has kernels").map(read);
            assert_eq!(found, [with(&first, &new, at), with(&second, &other, at)]);
        }
    }
    // Who still has the buffers keeps their numbers, and so do operations that are waiting.
    let sum = x.clone() + 1.0;
    let [keys, _] = append([x.clone(), y], [z.clone(), w], 5).expect("the device has kernels");
    let difference = keys.clone() - x.clone();
    let expected = with(&first, &new, 5);
    assert_eq!(read(x), first);
    assert_eq!(read(keys), expected);
    assert_eq!(read(sum), first.iter().map(|value| value + 1.0).collect::<Vec<_>>());
    let differences = expected.iter().zip(&first).map(|(a, b)| a - b).collect::<Vec<_>>();
    assert_eq!(read(difference), differences);
}

fn undrawable(device: &Device) {
    for classes in [1, 6, 300] {
        let usual = || (0..classes).map(|place| uniform(36, place) - 0.5).collect::<Vec<f32>>();
        let with = |value: f32| {
            let mut row = usual();
            row[classes / 2] = value;
            row
        };
        let mut masked = vec![f32::NEG_INFINITY; classes];
        masked[classes - 1] = 3.0;
        let rows = [
            (usual(), 0.0),
            (with(f32::NAN), 1.0),
            (with(-f32::NAN), 1.0),
            (with(f32::INFINITY), 1.0),
            (with(f32::MAX), 0.0),
            (masked, 0.0),
            (vec![f32::NEG_INFINITY; classes], 1.0),
        ];
        let x = on(device, rows.iter().flat_map(|(row, _)| row.clone()).collect(), classes);
        let expected: Vec<f32> = rows.iter().map(|(_, fault)| *fault).collect();
        assert_eq!(numbers(faults(&x).expect("the device has kernels")), expected, "{classes} classes");
    }
}
