//! Random numbers, choices, mixes and bytes of pictures beside the host's.

use burn::tensor::{Device, Tensor, TensorData};
use nextscale::core::noise::{Counter, Noise, Place, Stream, parts_of, philox};
use nextscale::core::{Alphabet, Error};
use nextscale::pipeline::images::{Rounding, to_pictures_rounded};
use nextscale_kernels::device::{Kind, Random, first_largest, mix, nearest, race, random};

use super::{kept, numbers, on, rows, uniform, used};

pub fn run(device: &Device) {
    words(device);
    noise(device);
    choices(device);
    mixes(device);
    codes(device);
    pictures(device);
}

/// Places of every kind, with their seeds: images beyond 32 bits, channels that no block of four divides.
fn places() -> Vec<(u64, Place<'static>)> {
    let place = |scale, images, positions, alphabet| Place { scale, images, positions, alphabet };
    vec![
        (0, place(0, &[0], 1, Alphabet::codes(4))),
        (7, place(3, &[5, 900, (200 << 32) + 0x1_2345], 6, Alphabet::bits(3))),
        (u64::MAX - 5, place(9, &[0xffff_ffff, 1], 256, Alphabet::codes(4099))),
    ]
}

fn drawn(
    device: &Device,
    kind: Kind,
    stream: Stream,
    seed: u64,
    place: &Place<'_>,
    channels: usize,
) -> Vec<f32> {
    let images = on(device, parts_of(place.images), 3);
    let (scale, positions) = (place.scale as u16, place.positions);
    let random = used("random", 1, || {
        let asked = Random { kind, seed, stream: stream as u16, scale, positions, channels };
        random(&images, asked).expect("the device has kernels")
    });
    assert_eq!(random.dims(), [place.images.len(), positions, channels]);
    random.into_data().try_into_vec_as().unwrap()
}

/// The same integers.
fn words(device: &Device) {
    for (seed, place) in places() {
        let channels = place.alphabet.channels();
        let found = drawn(device, Kind::Words, Stream::Smoothing, seed, &place, channels);
        let mut found = found.into_iter().map(f32::to_bits);
        for image in place.images {
            let last = ((image >> 32) as u32) << 24 | 1 << 16 | place.scale as u32;
            for position in 0..place.positions as u32 {
                for channel in 0..channels as u32 {
                    let counter = [channel / 4, position, *image as u32, last];
                    let words = philox(counter, [seed as u32, (seed >> 32) as u32]);
                    assert!(found.next() == Some(words[channel as usize % 4]), "{place:?} {channel}");
                }
            }
        }
        assert_eq!(found.next(), None);
    }
}

/// How many numbers of f32 are between two.
fn apart(a: f32, b: f32) -> u32 {
    let ordered =
        |x: f32| if x < 0.0 { -i64::from(x.to_bits() & 0x7fff_ffff) } else { i64::from(x.to_bits()) };
    u32::try_from((ordered(a) - ordered(b)).unsigned_abs()).unwrap_or(u32::MAX)
}

fn noise(device: &Device) {
    let (mut exponential, mut normal) = (0, 0);
    for (seed, place) in places() {
        let counter = Counter::new(seed);
        let channels = place.alphabet.channels();
        let found = drawn(device, Kind::Exponential, Stream::Smoothing, seed, &place, channels);
        for (found, expected) in found.into_iter().zip(counter.exponential(&place)) {
            exponential = exponential.max(apart(found, expected));
        }
        let width = channels.min(70);
        let found = drawn(device, Kind::Normal, Stream::Gaussian, seed, &place, width);
        for (found, expected) in found.into_iter().zip(counter.gaussian(&place, width)) {
            normal = normal.max(apart(found, expected));
        }
    }
    println!(
        "exponential numbers are within {exponential} and normal ones within {normal} units of the last place of the CPU's"
    );
    assert!(exponential <= 1 && normal <= 4);
}

fn choices(device: &Device) {
    for classes in [1, 2, 30, 65, 1000, 4099] {
        let rows = rows(classes);
        let x = on(device, rows.iter().flat_map(|(_, row)| row.clone()).collect(), classes);
        let found = used("first_largest", 1, || first_largest(&x).expect("the device has kernels"));
        for ((name, row), found) in rows.iter().zip(numbers(found)) {
            let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let first = row.iter().position(|&value| value == top).unwrap();
            assert!(found == first as f32, "{name} of {classes}: {found}, the first is {first}");
        }
        let noise: Vec<f32> = (0..rows.len() * classes).map(|i| -(uniform(41, i) + 1e-6).ln()).collect();
        let e = on(device, noise.clone(), classes);
        let found = used("race", 1, || race(&x, &e).expect("the device has kernels"));
        for (((name, row), noise), found) in rows.iter().zip(noise.chunks(classes)).zip(numbers(found)) {
            let found = found as usize;
            assert!(found < classes, "{name} of {classes}: {found}");
            let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            if top == f32::NEG_INFINITY {
                continue;
            }
            let speed = |class: usize| f64::from(row[class] - top).exp() / f64::from(noise[class]);
            let fastest = (0..classes).map(speed).fold(0.0, f64::max);
            assert!(row[found] > f32::NEG_INFINITY, "{name} of {classes}: a masked class wins");
            assert!(speed(found) >= fastest * (1.0 - 3e-6), "{name} of {classes}: {found} wins");
        }
    }
    // NaN is some class.
    let faulty = on(device, vec![f32::NAN, 1.0, -f32::NAN, -f32::NAN, -f32::NAN, f32::INFINITY], 2);
    assert!(numbers(first_largest(&faulty).unwrap()).iter().all(|class| [0.0, 1.0].contains(class)));
}

fn mixes(device: &Device) {
    let mut worst = 0.0_f64;
    for classes in [1, 30, 65, 4099] {
        // Without any class left there is nothing to mix.
        let rows: Vec<_> = rows(classes).into_iter().filter(|(_, row)| !kept(row).is_empty()).collect();
        let x = on(device, rows.iter().flat_map(|(_, row)| row.clone()).collect(), classes);
        let noise: Vec<f32> = (0..rows.len() * classes).map(|i| -(uniform(42, i) + 1e-6).ln()).collect();
        let e = on(device, noise.clone(), classes);
        for (sharpness, temperature) in [(1.0, 0.27), (1.6, 0.0135)] {
            let found =
                used("mix", 1, || mix(&x, &e, sharpness, temperature).expect("the device has kernels"));
            let found = numbers(found);
            let each = rows.iter().zip(noise.chunks(classes)).zip(found.chunks(classes));
            for (((name, row), noise), found) in each {
                let score = |(value, e): (&f32, &f32)| {
                    (f64::from(*value) * sharpness - f64::from(*e).ln()) / temperature
                };
                let scores: Vec<f64> = row.iter().zip(noise).map(score).collect();
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|score| (score - top).exp()).collect();
                let total: f64 = weights.iter().sum();
                for (class, (&found, weight)) in found.iter().zip(weights).enumerate() {
                    assert!(
                        (row[class] == f32::NEG_INFINITY) <= (found == 0.0),
                        "{name} of {classes}: a masked class weighs {found}"
                    );
                    worst = worst.max((f64::from(found) - weight / total).abs());
                }
            }
        }
    }
    println!("mixes are within {worst:.1e} of sums in f64");
    // Scores are rounded before they are divided by temperatures down to 0.0135: at 1,000, by 3e-5.
    assert!(worst < 2e-4, "{worst:e}");
}

/// The nearest of random codes, and the first of equals.
fn codes(device: &Device) {
    for (rows, count, channels) in [(1, 1, 1), (70, 30, 8), (40, 4099, 32)] {
        let number = |salt, i| (uniform(salt, i) - 0.5) * 4.0;
        let x: Vec<f32> = (0..rows * channels).map(|i| number(48, i)).collect();
        let mut codes: Vec<f32> = (0..count * channels).map(|i| number(49, i)).collect();
        // The second half repeats codes of the first.
        codes.copy_within(..count / 2 * channels, count.div_ceil(2) * channels);
        let (there, table) = (on(device, x.clone(), channels), on(device, codes.clone(), channels));
        let found = used("nearest", 1, || nearest(&there, &table).expect("the device has kernels"));
        for (x, found) in x.chunks(channels).zip(numbers(found)) {
            let distance = |code: usize| -> f64 {
                let code = &codes[code * channels..][..channels];
                x.iter().zip(code).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
            };
            let found = found as usize;
            let least = (0..count).map(distance).fold(f64::INFINITY, f64::min);
            assert!(distance(found) <= least + 1e-5 * channels as f64, "{found} of {count}");
            assert!(found < count.div_ceil(2), "{found} of {count} is the second of equals");
        }
    }
}

/// The same bytes of the same numbers, also of those next to where a byte changes.
fn pictures(device: &Device) {
    let shape @ [batch, channels, height, width] = [2, 3, 37, 21];
    let plane = height * width;
    let values: Vec<f32> = (0..batch * channels * plane)
        .map(|i| match i % 5 {
            0 => uniform(43, i) * 1.2 - 0.1,
            1 => (uniform(44, i) * 256.0).floor() / 255.0,
            2 => ((uniform(45, i) * 255.0).floor() / 255.0).next_down(),
            3 => ((uniform(46, i) * 255.0).floor() + 0.5) / 255.0,
            _ => (((uniform(47, i) * 255.0).floor() + 0.5) / 255.0).next_up(),
        })
        .collect();
    let images = |device: &Device, values: &[f32]| {
        Tensor::<4>::from_data(TensorData::new(values.to_vec(), shape), device)
    };
    for rounding in [Rounding::Floor, Rounding::Nearest] {
        let expected = to_pictures_rounded(images(&Device::flex(), &values), rounding).unwrap();
        let there = images(device, &values);
        // With channels side by side in memory, as decoders leave them.
        let pixels = there.clone().permute([0, 2, 3, 1]).reshape([batch * plane * channels]);
        let pixels = pixels.reshape([batch, height, width, channels]).permute([0, 3, 1, 2]);
        for there in [there, pixels] {
            let found = used("bytes", 1, || to_pictures_rounded(there, rounding).unwrap());
            assert!(found == expected, "{rounding:?}");
        }
    }
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in [channels * plane, values.len() - 1] {
            let mut values = values.clone();
            values[at] = value;
            let found = to_pictures_rounded(images(device, &values), Rounding::Floor).unwrap_err();
            assert_eq!(found, Error::overflow("decoder", 1));
        }
    }
}
