use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::Grid;
use nextscale_priors::{Bicubic, Bilinear, Dse, Interpolation, LowBand, Mean, Nearest, Prior, Zero};
use proptest::prelude::*;

use super::support::{apply, assert_near, dct2, grids, noise, plane};

/// f32 products of maps in [-2, 2) whose sums have up to 169 terms, and the factor s of up to 13.
const TOLERANCE: f64 = 2e-4;

fn settings() -> impl Strategy<Value = Dse> {
    (
        prop_oneof![
            Just(Interpolation::Nearest),
            Just(Interpolation::Bilinear),
            Just(Interpolation::Bicubic)
        ],
        prop_oneof![Just(LowBand::Amplitude), Just(LowBand::Verbatim)],
    )
        .prop_map(|(interpolation, low_band)| Dse { interpolation, low_band, ..Dse::default() })
}

fn scale(low_band: LowBand, from: Grid, to: Grid) -> f64 {
    match low_band {
        LowBand::Amplitude => (to.positions() as f64 / from.positions() as f64).sqrt(),
        LowBand::Verbatim => 1.0,
    }
}

/// u of one map, by burn's own interpolation.
fn interpolated(kind: Interpolation, from: Grid, to: Grid, map: &[f64]) -> Vec<f64> {
    let mode = match kind {
        Interpolation::Nearest => InterpolateMode::Nearest,
        Interpolation::Bilinear => InterpolateMode::Bilinear,
        Interpolation::Bicubic => InterpolateMode::Bicubic,
    };
    let values: Vec<f32> = map.iter().map(|&value| value as f32).collect();
    let x = Tensor::<4>::from_data(TensorData::new(values, [1, 1, from.height, from.width]), &Device::flex());
    let options =
        InterpolateOptions::new(mode).with_align_corners(false).with_output_size([to.height, to.width]);
    let u: Vec<f32> = interpolate(x, options).into_data().try_to_vec().unwrap();
    u.into_iter().map(f64::from).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_low_band_is_the_coarse_spectrum_and_the_high_band_the_interpolations(
        (from, to) in grids(), dse in settings(), batch in 1..3_usize, channels in 1..4_usize, seed: u64,
    ) {
        let x = noise(seed, batch * from.positions() * channels);
        let y = apply(&dse, from, to, &x, channels);
        let s = scale(dse.low_band, from, to);
        for (image, channel) in (0..batch).flat_map(|image| (0..channels).map(move |channel| (image, channel))) {
            let coarse = plane(&x, from, channels, image, channel);
            let spectrum = dct2(&plane(&y, to, channels, image, channel), to);
            let low = dct2(&coarse, from);
            let high = dct2(&interpolated(dse.interpolation, from, to, &coarse), to);
            for (at, &found) in spectrum.iter().enumerate() {
                let (i, j) = (at / to.width, at % to.width);
                let expected =
                    if i < from.height && j < from.width { s * low[i * from.width + j] } else { high[at] };
                prop_assert!((found - expected).abs() < TOLERANCE, "({i}, {j}): {found} instead of {expected}");
            }
        }
    }

    #[test]
    fn amplitude_keeps_constants_and_means(
        (from, to) in grids(), dse in settings(), constant in -3.0..3.0_f32, seed: u64,
    ) {
        let dse = Dse { low_band: LowBand::Amplitude, ..dse };
        for value in apply(&dse, from, to, &vec![constant; from.positions()], 1) {
            prop_assert!((value - constant).abs() < 1e-5, "{value} instead of {constant}");
        }
        let x = noise(seed, from.positions());
        let mean = |values: &[f32]| values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
        let y = apply(&dse, from, to, &x, 1);
        prop_assert!((mean(&y) - mean(&x)).abs() < 1e-5, "{} instead of {}", mean(&y), mean(&x));
    }

    #[test]
    fn the_same_size_is_the_identity_to_the_bit(
        (grid, _) in grids(), dse in settings(), fraction in 0.01..=1.0_f64, crossover in 0.0..2.0_f64, seed: u64,
    ) {
        let x = noise(seed, 2 * grid.positions() * 3);
        let dse = Dse { fraction, crossover, ..dse };
        prop_assert_eq!(apply(&dse, grid, grid, &x, 3), x);
    }

    #[test]
    fn every_prior_is_linear(
        (from, to) in grids(), dse in settings(), a in -2.0..2.0_f32, b in -2.0..2.0_f32, seed: u64,
    ) {
        let count = 2 * from.positions() * 3;
        let (x, y) = (noise(seed, count), noise(seed ^ 0x5eed, count));
        let mix: Vec<f32> = x.iter().zip(&y).map(|(x, y)| a * x + b * y).collect();
        for prior in [&dse as &dyn Prior, &Nearest, &Bilinear, &Bicubic, &Mean, &Zero] {
            let (px, py) = (apply(prior, from, to, &x, 3), apply(prior, from, to, &y, 3));
            for ((mixed, px), py) in apply(prior, from, to, &mix, 3).into_iter().zip(px).zip(py) {
                prop_assert!((mixed - (a * px + b * py)).abs() < 1e-4, "{prior:?}");
            }
        }
    }

    #[test]
    fn channels_and_images_do_not_mix(
        (from, to) in grids(), dse in settings(), image in 0..2_usize, channel in 0..3_usize, seed: u64,
    ) {
        let x = noise(seed, 2 * from.positions() * 3);
        let mut disturbed = x.clone();
        for position in 0..from.positions() {
            disturbed[(image * from.positions() + position) * 3 + channel] = f32::NAN;
        }
        let (y, disturbed) = (apply(&dse, from, to, &x, 3), apply(&dse, from, to, &disturbed, 3));
        for (at, (value, disturbed)) in y.into_iter().zip(disturbed).enumerate() {
            if (at / 3 / to.positions(), at % 3) == (image, channel) {
                prop_assert!(disturbed.is_nan());
            } else {
                prop_assert_eq!(value.to_bits(), disturbed.to_bits());
            }
        }
    }

    #[test]
    fn fraction_and_crossover_blend_the_spectra_by_a_product_of_falling_weights(
        (from, to) in grids(), dse in settings(), fraction in 0.05..=1.0_f64, crossover in 0.0..1.5_f64, seed: u64,
    ) {
        prop_assume!(from != to);
        let x = noise(seed, from.positions());
        let dse = Dse { fraction, crossover, ..dse };
        let coarse = plane(&x, from, 1, 0, 0);
        let spectrum = dct2(&plane(&apply(&dse, from, to, &x, 1), to, 1, 0, 0), to);
        let (s, low) = (scale(dse.low_band, from, to), dct2(&coarse, from));
        let high = dct2(&interpolated(dse.interpolation, from, to, &coarse), to);
        let rows = |n: usize| (1..=n).find(|&r| r as f64 >= fraction * n as f64).unwrap();
        let (height, width) = (rows(from.height), rows(from.width));
        let weight = |i: usize, rows: usize, n: usize| {
            let soft = (crossover * n as f64).min((rows - 1) as f64);
            let distance = (rows.saturating_sub(i)) as f64;
            if distance > soft { 1.0 } else { (std::f64::consts::FRAC_PI_2 * distance / (soft + 1.0)).sin().powi(2) }
        };
        for (at, &found) in spectrum.iter().enumerate() {
            let (i, j) = (at / to.width, at % to.width);
            let expected = if i < height && j < width {
                let g = weight(i, height, from.height) * weight(j, width, from.width);
                g * s * low[i * from.width + j] + (1.0 - g) * high[at]
            } else {
                high[at]
            };
            prop_assert!((found - expected).abs() < TOLERANCE, "({i}, {j}): {found} instead of {expected}");
        }
    }
}

/// The definition written with cosines only: every coefficient and every sample is a double sum.
fn brute_force(dse: &Dse, from: Grid, to: Grid, x: &[f64]) -> Vec<f64> {
    let wave = |grid: Grid, (k, l): (usize, usize), (i, j): (usize, usize)| {
        let one = |k: usize, i: usize, n: usize| {
            let norm = if k == 0 { 1.0 } else { 2.0 } / n as f64;
            norm.sqrt() * (std::f64::consts::PI * (2 * i + 1) as f64 * k as f64 / (2 * n) as f64).cos()
        };
        one(k, i, grid.height) * one(l, j, grid.width)
    };
    let cells = |grid: Grid| (0..grid.positions()).map(move |at| (at / grid.width, at % grid.width));
    let u = interpolated(dse.interpolation, from, to, x);
    let spectrum: Vec<f64> = cells(to)
        .map(|(k, l)| {
            if k < from.height && l < from.width {
                let coefficient: f64 = cells(from).zip(x).map(|(cell, x)| x * wave(from, (k, l), cell)).sum();
                scale(dse.low_band, from, to) * coefficient
            } else {
                cells(to).zip(&u).map(|(cell, u)| u * wave(to, (k, l), cell)).sum()
            }
        })
        .collect();
    cells(to)
        .map(|cell| cells(to).zip(&spectrum).map(|(band, value)| value * wave(to, band, cell)).sum())
        .collect()
}

#[test]
fn it_is_the_brute_force_definition_on_tiny_grids() {
    for (h, w, m, n) in [(1, 1, 2, 3), (1, 3, 1, 5), (2, 1, 3, 4), (2, 3, 4, 3), (3, 3, 4, 4), (2, 2, 5, 2)] {
        let (from, to) = (Grid::new(h, w), Grid::new(m, n));
        for interpolation in [Interpolation::Nearest, Interpolation::Bilinear, Interpolation::Bicubic] {
            for low_band in [LowBand::Amplitude, LowBand::Verbatim] {
                let dse = Dse { interpolation, low_band, ..Dse::default() };
                let x = noise(17, from.positions());
                let coarse = plane(&x, from, 1, 0, 0);
                let found = plane(&apply(&dse, from, to, &x, 1), to, 1, 0, 0);
                assert_near(&found, &brute_force(&dse, from, to, &coarse), 1e-5);
            }
        }
    }
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let grid = Grid::square(2);
    for (field, dse) in [
        ("fraction", Dse { fraction: 0.0, ..Dse::default() }),
        ("fraction", Dse { fraction: 1.01, ..Dse::default() }),
        ("fraction", Dse { fraction: f64::NAN, ..Dse::default() }),
        ("crossover", Dse { crossover: -0.1, ..Dse::default() }),
        ("crossover", Dse { crossover: f64::INFINITY, ..Dse::default() }),
    ] {
        assert!(dse.check().unwrap_err().to_string().starts_with(field), "{dse:?}");
        assert!(dse.operator(grid, grid).is_err());
    }
}
