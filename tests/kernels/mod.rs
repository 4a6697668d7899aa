//! The kernels for devices beside the host's rules and the CPU's kernels: filters and draws, norms, heads, and
//! other layers, in f32 and in f16.

mod draws;
mod halves;
mod layers;

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_kernels::{
    categorical::Row,
    device::{Keep, filter, inverse_cdf, uses},
    heads, layer_norm_modulate, rms_norm_modulate,
};

/// How far a cumulative probability may be from a limit for its class to be on the other side of it than in
/// f64: the rounding of sums of f32, and of the device's exponentials.
const ROUNDING: f64 = 2e-6;

/// The result of a test that must ask for the kernel so often: what is composed of burn's operations in its place
/// gives nearly the same numbers.
fn used<R>(kernel: &str, times: u64, test: impl FnOnce() -> R) -> R {
    let before = uses(kernel);
    let result = test();
    assert_eq!(uses(kernel) - before, times, "uses of the kernel {kernel}");
    result
}

/// A number in [0, 1) for every place.
fn uniform(salt: u64, place: usize) -> f32 {
    let mut bits =
        salt.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (place as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 31).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ bits >> 29) >> 40) as f32 / (1u64 << 24) as f32
}

/// Rows of logits of every kind, with their names.
fn rows(classes: usize) -> Vec<(&'static str, Vec<f32>)> {
    let row = |of: &dyn Fn(usize) -> f32| (0..classes).map(of).collect::<Vec<f32>>();
    let mut alone = vec![f32::NEG_INFINITY; classes];
    alone[classes / 2] = -3.0;
    vec![
        ("any", row(&|i| (uniform(1, i) - 0.5) * 12.0)),
        ("peaked", row(&|i| -40.0 * uniform(2, i).powi(2))),
        ("flat", row(&|i| uniform(3, i) * 1e-3 + 7.0)),
        ("ties", row(&|i| (uniform(4, i) * 9.0).floor() * 0.37)),
        ("zeros of both signs and the smallest numbers", {
            row(&|i| {
                [0.0, -0.0, f32::from_bits(1), -f32::from_bits(1), 1e-38][(uniform(5, i) * 5.0) as usize]
            })
        }),
        ("masked", row(&|i| if uniform(6, i) < 0.6 { f32::NEG_INFINITY } else { uniform(7, i) * 5.0 })),
        ("equal", vec![-1.25; classes]),
        ("one", alone),
        ("none", vec![f32::NEG_INFINITY; classes]),
    ]
}

fn on(device: &Device, values: Vec<f32>, width: usize) -> Tensor<2> {
    let count = values.len() / width;
    Tensor::from_data(TensorData::new(values, [count, width]), device)
}

fn numbers(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_into_vec_as().unwrap()
}

fn filtered(x: &Tensor<2>, keep: Keep) -> Vec<f32> {
    numbers(filter(x, keep).expect("the device has kernels"))
}

fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|value| value.to_bits()).collect()
}

fn kept(row: &[f32]) -> Vec<usize> {
    (0..row.len()).filter(|&class| row[class] > f32::NEG_INFINITY).collect()
}

/// The cumulative probability of every class, in the order in which top-p removes, in f64; and the class that
/// stays.
fn cumulative(row: &[f32]) -> (Vec<f64>, usize) {
    let mut order: Vec<usize> = (0..row.len()).collect();
    // -0 and 0 are equal.
    order.sort_by(|&a, &b| (row[a] + 0.0).total_cmp(&(row[b] + 0.0)));
    let largest = order[row.len() - 1];
    let weights = order.iter().map(|&class| f64::from(row[class] - row[largest]).exp());
    let total: f64 = weights.clone().sum();
    let mut found = vec![0.0; row.len()];
    let sums = weights.scan(0.0, |sum, weight| {
        *sum += weight;
        Some(*sum)
    });
    order.iter().zip(sums).for_each(|(&class, sum)| found[class] = sum / total);
    (found, largest)
}

/// Filters and draws of one number of classes.
fn agree(device: &Device, classes: usize) {
    let rows = rows(classes);
    let x = on(device, rows.iter().flat_map(|(_, row)| row.clone()).collect(), classes);
    let mut host = Row::default();

    // Top-k is exact: which classes stay, and their bits.
    for k in [1, 2, 7, classes / 2, classes - 1, classes, classes + 1] {
        let found = filtered(&x, Keep { top_k: Some(k).filter(|&k| k > 0), ..Keep::default() });
        for ((name, row), found) in rows.iter().zip(found.chunks(classes)) {
            host.set(row, 1.0);
            host.keep_top_k(if k < classes { k } else { 0 });
            assert!(bits(found) == bits(host.logits()), "top-k {k} of {classes}, {name}");
        }
    }

    // Min-p, after a top-k.
    for margin in [0.0, 0.3, 2.0] {
        let k = classes.div_ceil(3);
        let found = filtered(&x, Keep { top_k: Some(k), margin: Some(margin), ..Keep::default() });
        for ((name, row), found) in rows.iter().zip(found.chunks(classes)) {
            host.set(row, 1.0);
            host.keep_top_k(k);
            let least = row.iter().copied().fold(f32::NEG_INFINITY, f32::max) - margin;
            let expected = host.logits().iter().map(|&v| if v < least { f32::NEG_INFINITY } else { v });
            assert!(
                bits(found) == bits(&expected.collect::<Vec<_>>()),
                "margin {margin} of {classes}, {name}"
            );
        }
    }

    let (mut compared, mut differing) = (0, 0);
    for p in [1e-12, 1e-3, 0.1, 0.3, 0.5, 0.77, 0.95, 0.999, 1.0] {
        for top_k in [None, Some(classes.div_ceil(4))] {
            let tail = (1.0 - p) as f32;
            let found = filtered(&x, Keep { top_k, tail: Some(tail), margin: None });
            for ((name, row), found) in rows.iter().zip(found.chunks(classes)) {
                host.set(row, 1.0);
                host.keep_top_k(top_k.unwrap_or(0));
                let left = host.logits().to_vec();
                if kept(&left).is_empty() {
                    assert!(bits(found) == bits(&left), "top-p {p} of {classes}, {name}");
                    continue;
                }
                let (cumulative, largest) = cumulative(&left);
                host.keep_top_p(p);
                for class in 0..classes {
                    let stays = found[class] > f32::NEG_INFINITY;
                    compared += 1;
                    if !stays || left[class] == f32::NEG_INFINITY {
                        assert!(
                            found[class] == f32::NEG_INFINITY,
                            "{name}: class {class} is {}",
                            found[class]
                        );
                    } else {
                        assert!(
                            found[class].to_bits() == left[class].to_bits(),
                            "{name}: class {class} changed"
                        );
                    }
                    if class == largest {
                        assert!(stays, "top-p {p} of {classes}, {name}: the largest is removed");
                    } else if left[class] > f32::NEG_INFINITY {
                        let gap = cumulative[class] - f64::from(tail);
                        assert!(
                            stays == (gap > 0.0) || gap.abs() < ROUNDING,
                            "top-p {p} of {classes}, {name}: class {class}, {gap:.1e} above the limit, stays: {stays}"
                        );
                    }
                    differing += usize::from(stays != (host.logits()[class] > f32::NEG_INFINITY));
                }
            }
        }
    }

    // Draws: each row with numbers over the whole range, the ends included.
    let at: Vec<f32> = (0..30).map(|i| uniform(8, i)).chain([0.0, 1.0f32.next_down()]).collect();
    let (mut drawn, mut other) = (0_u32, 0_u32);
    for &u in &at {
        let uniforms = on(device, vec![u; rows.len()], 1);
        let found = numbers(inverse_cdf(&x, &uniforms).expect("the device has kernels"));
        for ((name, row), found) in rows.iter().zip(found) {
            let class = found as usize;
            assert!(
                class as f32 == found && class < classes,
                "{name}: {found} is not one of {classes} classes"
            );
            if kept(row).is_empty() {
                continue;
            }
            let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let weight = |&value: &f32| f64::from(value - top).exp();
            let total: f64 = row.iter().map(weight).sum();
            let before = row[..class].iter().map(weight).sum::<f64>() / total;
            let after = before + weight(&row[class]) / total;
            let u64 = f64::from(u);
            assert!(
                row[class] > f32::NEG_INFINITY,
                "{name} of {classes}: {u} gives a class of probability 0"
            );
            assert!(
                before - ROUNDING <= u64 && u64 <= after + ROUNDING,
                "{name} of {classes}: {u} gives class {class}, from {before} to {after}"
            );
            host.set(row, 1.0);
            drawn += 1;
            other += u32::from(host.inverse_cdf(u) != class);
        }
    }
    println!(
        "{classes} classes: {differing} of {compared} classes stay under top-p where the host removes them or the reverse; {other} of {drawn} draws differ"
    );
    // Classes within rounding of a limit are few, and so are draws within rounding of a class's end.
    assert!(differing * 1000 <= compared);
    assert!(f64::from(other) <= f64::from(drawn) * (0.02 + ROUNDING * classes as f64));
}

/// What the host's tests say of single rows.
fn rules(device: &Device) {
    let kept_of = |row: &[f32], keep: Keep| kept(&filtered(&on(device, row.to_vec(), row.len()), keep));
    let top_k = |row: &[f32], k| kept_of(row, Keep { top_k: Some(k), ..Keep::default() });
    let top_p = |row: &[f32], p: f64| kept_of(row, Keep { tail: Some((1.0 - p) as f32), ..Keep::default() });
    assert_eq!(top_k(&[1.0, 3.0, 2.0, 2.0, 0.0, 2.0], 2), [1, 2, 3, 5]);
    assert_eq!(top_k(&[-0.0, 0.0, -1.0], 1), [0, 1]);
    assert_eq!(top_p(&[1.0; 4], 0.5), [2, 3]);
    assert_eq!(top_p(&[1.0; 4], 0.6), [1, 2, 3]);
    assert_eq!(top_p(&[0.0, 5.0, 5.0, 1.0], 1e-12), [2]);
    assert_eq!(top_p(&[0.5, -3.0, 1.0], 1.0), [0, 1, 2]);
    assert_eq!(top_p(&[0.0, -200.0, -50.0], 1.0), [0, 2]);
    assert_eq!(
        kept_of(&[f32::NEG_INFINITY; 4], Keep { top_k: Some(2), tail: Some(0.5), margin: Some(1.0) }),
        [0; 0]
    );
}

/// A row with NaN gives some row, and some class of it; the rows beside it are what they would be alone.
fn faulty_rows(device: &Device, classes: usize) {
    let good: Vec<f32> = (0..classes).map(|i| uniform(9, i) * 4.0).collect();
    let faulty = [
        vec![f32::NAN; classes],
        (0..classes).map(|i| if i % 3 == 1 { -f32::NAN } else { uniform(10, i) }).collect(),
        (0..classes).map(|i| if i % 5 == 2 { f32::INFINITY } else { uniform(11, i) }).collect(),
    ];
    let keep = Keep { top_k: Some(classes / 2), tail: Some(0.1), margin: Some(5.0) };
    let alone = on(device, good.clone(), classes);
    let expected = filtered(&alone, keep);
    for faulty in faulty {
        let x = on(device, [&good[..], &faulty, &good].concat(), classes);
        let found = filtered(&x, keep);
        assert!(bits(&found[..classes]) == bits(&expected));
        assert!(bits(&found[2 * classes..]) == bits(&expected));
        for u in [0.0, 0.4, 0.99] {
            let drawn = numbers(inverse_cdf(&x, &on(device, vec![u; 3], 1)).unwrap());
            let single = numbers(inverse_cdf(&alone, &on(device, vec![u], 1)).unwrap());
            assert_eq!([drawn[0], drawn[2]], [single[0]; 2]);
            assert!(drawn[1] >= 0.0 && (drawn[1] as usize) < classes, "{} of {classes}", drawn[1]);
        }
    }
}

/// More rows than a device takes in one dimension.
fn many_rows(device: &Device) {
    let count = 70_001;
    let values: Vec<f32> = (0..2 * count).map(|i| uniform(12, i)).collect();
    let x = on(device, values.clone(), 2);
    let found = filtered(&x, Keep { top_k: Some(1), ..Keep::default() });
    let expected: Vec<f32> = values
        .chunks(2)
        .flat_map(|row| [0, 1].map(|i| if row[i] < row[1 - i] { f32::NEG_INFINITY } else { row[i] }))
        .collect();
    assert!(bits(&found) == bits(&expected));
    let drawn = numbers(inverse_cdf(&x, &on(device, vec![0.5; count], 1)).unwrap());
    // Half of the probability is the first class's where it is the likelier; near-ties are rounding's.
    let wrong = values
        .chunks(2)
        .zip(drawn)
        .filter(|(row, class)| (row[0] - row[1]).abs() > 1e-5 && (*class == 1.0) != (row[1] >= row[0]));
    assert_eq!(wrong.count(), 0);
}

/// The kernels between burn's operations, on results that are still to be computed and on views.
fn among_operations(device: &Device) {
    let values: Vec<f32> = (0..6 * 50).map(|i| uniform(13, i)).collect();
    let x = on(device, values.clone(), 50);
    let keep = Keep { top_k: Some(9), tail: Some(0.2), margin: None };
    let expected = filtered(&on(device, values.iter().map(|v| v * 2.0 + 1.0).collect(), 50), keep);
    let found = filter(&(x.clone() * 2.0 + 1.0), keep).unwrap().clamp_min(-1e30) - 1.0;
    for (found, expected) in numbers(found).into_iter().zip(expected) {
        assert!(found == expected.max(-1e30) - 1.0);
    }
    // Read along the other axis, and a part of the rows.
    let turned: Vec<f32> = (0..50 * 6).map(|i| values[i % 6 * 50 + i / 6]).collect();
    let keep = Keep { top_k: Some(2), ..Keep::default() };
    assert!(bits(&filtered(&x.clone().transpose(), keep)) == bits(&filtered(&on(device, turned, 6), keep)));
    let part = x.slice([2..4, 10..40]);
    let copied: Vec<f32> =
        [2, 3].iter().flat_map(|row| values[row * 50 + 10..row * 50 + 40].to_vec()).collect();
    assert!(bits(&filtered(&part, keep)) == bits(&filtered(&on(device, copied, 30), keep)));
    // Inside autodiff there is no kernel.
    let tracked = Tensor::<2>::ones([2, 3], &device.clone().autodiff());
    assert!(filter(&tracked, keep).is_none());
}

/// Numbers around 0, of which some are large.
fn made<const D: usize>(device: &Device, salt: u64, shape: [usize; D]) -> Tensor<D> {
    let number = |i| (uniform(salt, i) - 0.4) * if i % 7 == 0 { 30.0 } else { 1.0 };
    let values: Vec<f32> = (0..shape.iter().product()).map(number).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The largest difference, as a part of the largest value.
fn gap<const D: usize>(ours: Tensor<D>, theirs: Tensor<D>) -> f32 {
    assert_eq!(ours.dims(), theirs.dims());
    let [ours, theirs]: [Vec<f32>; 2] = [ours, theirs].map(|x| x.into_data().try_into_vec_as().unwrap());
    let reach = theirs.iter().fold(0.0_f32, |reach, x| reach.max(x.abs()));
    // NaN is as far away as can be.
    let far = |(a, b): (&f32, &f32)| if (a - b).is_nan() { f32::INFINITY } else { (a - b).abs() };
    ours.iter().zip(&theirs).map(far).fold(0.0, f32::max) / reach.max(f32::MIN_POSITIVE)
}

fn norms(device: &Device) {
    let mut worst = 0.0_f32;
    for [batch, length, channels] in [[1, 1, 1], [2, 9, 37], [3, 70, 64], [2, 130, 1024], [1, 3, 5000]] {
        let on = |device: &Device| {
            let x = made(device, 21, [batch, length, channels]) + 3.0;
            // As models give them: parts of one tensor, of which each image has a row.
            let both = made(device, 22, [batch, 1, 2 * channels]);
            let [scale, shift] = [0, 1].map(|i| both.clone().slice_dim(2, i * channels..(i + 1) * channels));
            let alone = [&scale, &shift].map(|part| part.clone() * 0.5);
            [
                layer_norm_modulate(x.clone(), scale.clone(), shift.clone(), 1e-6),
                rms_norm_modulate(x.clone(), scale, shift, 1e-6),
                layer_norm_modulate(x, alone[0].clone(), alone[1].clone(), 1e-2),
            ]
        };
        for (ours, theirs) in on(device).into_iter().zip(on(&Device::flex())) {
            worst = worst.max(gap(ours, theirs));
        }
    }
    println!("norms are within {worst:.1e} of the CPU's");
    assert!(worst < 3e-6);
}

fn projections(device: &Device) {
    let mut worst = 0.0_f32;
    for [batch, positions, count, width] in
        [[1, 1, 1, 1], [2, 9, 3, 8], [3, 50, 4, 33], [2, 70, 16, 64], [1, 5, 40, 100]]
    {
        for unit in [false, true] {
            let on = |device: &Device| {
                let x = made(device, 23, [batch, positions, 3 * count * width]);
                // A head of zeros has no direction.
                let x = x.slice_fill([0..1, 0..1, 0..width], 0.0);
                let bias = made(device, 25, [3 * count * width]).slice_fill(0..width, 0.0);
                heads(x, Some(bias), made(device, 24, [count]), unit)
            };
            for (ours, theirs) in on(device).into_iter().zip(on(&Device::flex())) {
                assert_eq!(ours.dims(), [batch, positions, count, width]);
                worst = worst.max(gap(ours, theirs));
            }
        }
    }
    println!("heads are within {worst:.1e} of the CPU's");
    assert!(worst < 1e-6);
}

pub fn run(device: &Device) {
    // Three norms each of five shapes; heads of five, with and without unit length.
    used("norm", 15, || norms(device));
    used("heads", 10, || projections(device));
    rules(device);
    for classes in [1, 2, 3, 30, 64, 65, 255, 1000, 4096, 4099] {
        agree(device, classes);
    }
    agree(device, 131_072);
    faulty_rows(device, 40);
    faulty_rows(device, 777);
    many_rows(device);
    among_operations(device);
    layers::run(device);
    draws::run(device);
    halves::run(device);
}
