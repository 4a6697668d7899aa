//! The rules that are CFG with other factors, compared with their equations written out in f64.

use std::sync::Arc;

use nextscale_core::{Alphabet, Grid, ScaleSchedule};
use nextscale_guidance::{Cfg, CfgZeroStar, Extent, FrequencyCfg, Guidance, MagnitudeCfg, Strength, Tcfg};
use proptest::prelude::*;

use super::support::{Generation, assert_near, bits, centred, random, schedules};

const EXTENTS: [Extent; 2] = [Extent::Image, Extent::Position];

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// What `by_hand` makes of the centred logits of each extent, image by image and scale by scale, against the
/// rule's; `None` where rounding decides.
fn assert_by_hand(
    x: &Generation,
    rule: &dyn Guidance,
    over: Extent,
    by_hand: impl Fn(&[f64], &[f64]) -> Option<Vec<f64>>,
) {
    let found = x.guided(rule).unwrap();
    for (k, found) in found.iter().enumerate() {
        let positions = match over {
            Extent::Image => x.schedule.grid(k).positions(),
            Extent::Position => 1,
        };
        let size = positions * x.alphabet.channels();
        let parts = x.conditional[k].chunks(size).zip(x.unconditional[k].chunks(size));
        for ((c, u), found) in parts.zip(found.chunks(size)) {
            let Some(expected) = by_hand(&centred(c, x.alphabet), &centred(u, x.alphabet)) else { continue };
            let narrow = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect::<Vec<_>>();
            assert_near(&[narrow(centred(found, x.alphabet))], &[narrow(expected)], 2e-4);
        }
    }
}

/// c + t·(c − u), value by value.
fn cfg(t: f64, c: &[f64], u: &[f64]) -> Vec<f64> {
    c.iter().zip(u).map(|(c, u)| c + t * (c - u)).collect()
}

/// The first right singular vector of the rows [c; u], by power iteration on their 2 × 2 products.
fn first_singular(c: &[f64], u: &[f64]) -> Vec<f64> {
    let (cc, cu, uu) = (dot(c, c), dot(c, u), dot(u, u));
    // Neither row's own direction, which might be the other singular vector.
    let (mut a, mut b) = (0.6, 0.8 * if cu < 0.0 { -1.0 } else { 1.0 });
    for _ in 0..2000 {
        (a, b) = (cc * a + cu * b, cu * a + uu * b);
        let norm = a.hypot(b);
        (a, b) = (a / norm, b / norm);
    }
    let vector: Vec<f64> = c.iter().zip(u).map(|(c, u)| a * c + b * u).collect();
    let norm = dot(&vector, &vector).sqrt();
    vector.into_iter().map(|value| value / norm).collect()
}

/// Coefficient (i, j) of the orthonormal DCT-II of a map, or with `back` the map of the coefficients: four
/// loops.
fn dct(map: &[f64], grid: Grid, back: bool) -> Vec<f64> {
    let Grid { height, width } = grid;
    let wave = |frequency: usize, sample: usize, n: usize| {
        let norm = if frequency == 0 { 1.0 } else { 2.0 } / n as f64;
        norm.sqrt() * (std::f64::consts::PI * frequency as f64 * (sample as f64 + 0.5) / n as f64).cos()
    };
    let mut out = vec![0.0; map.len()];
    for (i, y) in (0..height).flat_map(|i| (0..height).map(move |y| (i, y))) {
        for (j, x) in (0..width).flat_map(|j| (0..width).map(move |x| (j, x))) {
            let factor = wave(i, y, height) * wave(j, x, width);
            let (to, from) =
                if back { (y * width + x, i * width + j) } else { (i * width + j, y * width + x) };
            out[to] += factor * map[from];
        }
    }
    out
}

fn alphabet(codes: bool) -> Alphabet {
    if codes { Alphabet::codes(5) } else { Alphabet::bits(3) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn cfg_zero_star_scales_the_unconditional_side_to_fit_best(
        schedule in schedules(), codes: bool, t in -0.9..4.0_f64, seed: u64,
    ) {
        let x = Generation::random(&schedule, alphabet(codes), 2, seed);
        for over in EXTENTS {
            let rule = CfgZeroStar { over, ..CfgZeroStar::new(t).unwrap() };
            assert_by_hand(&x, &rule, over, |c, u| {
                let alpha = dot(c, u) / dot(u, u);
                let scaled: Vec<f64> = u.iter().map(|u| alpha * u).collect();
                let w = 1.0 + t;
                Some(scaled.iter().zip(c).map(|(u, c)| u + w * (c - u)).collect())
            });
        }
    }

    #[test]
    fn tcfg_keeps_what_of_the_unconditional_side_lies_in_the_first_singular_vector(
        schedule in schedules(), codes: bool, t in -0.9..4.0_f64, seed: u64,
    ) {
        let x = Generation::random(&schedule, alphabet(codes), 2, seed);
        for over in EXTENTS {
            let rule = Tcfg { over, ..Tcfg::new(t).unwrap() };
            assert_by_hand(&x, &rule, over, |c, u| {
                // If both singular values are nearly equal, any direction may be the first.
                let (cc, cu, uu) = (dot(c, c), dot(c, u), dot(u, u));
                if (cc - uu).hypot(2.0 * cu) < 0.05 * (cc + uu) {
                    return None;
                }
                let first = first_singular(c, u);
                let along = dot(u, &first);
                let damped: Vec<f64> = first.iter().map(|value| along * value).collect();
                Some(cfg(t, c, &damped))
            });
        }
    }

    #[test]
    fn magnitude_cfg_is_cfg_with_a_scale_that_falls_with_the_difference(
        schedule in schedules(), codes: bool, t in -0.9..4.0_f64, damping in 0.0..3.0_f64, seed: u64,
    ) {
        let x = Generation::random(&schedule, alphabet(codes), 2, seed);
        for over in EXTENTS {
            let rule = MagnitudeCfg { over, ..MagnitudeCfg::new(t, damping).unwrap() };
            assert_by_hand(&x, &rule, over, |c, u| {
                let delta: Vec<f64> = c.iter().zip(u).map(|(c, u)| c - u).collect();
                let w = 1.0 + t;
                let weight = 1.0 + (w - 1.0) * (-damping * (dot(&delta, &delta) / dot(u, u)).sqrt()).exp();
                Some(u.iter().zip(&delta).map(|(u, d)| u + weight * d).collect())
            });
        }
    }

    #[test]
    fn frequency_cfg_weighs_each_band_of_the_difference(
        schedule in grids(), bands in prop::collection::vec(-1.0..2.0_f64, 1..5), t in -0.9..3.0_f64, seed: u64,
    ) {
        let x = random(&schedule, 2, seed);
        let found = x.guided(&FrequencyCfg::new(t, &bands).unwrap()).unwrap();
        let channels = x.alphabet.channels();
        for (k, found) in found.iter().enumerate() {
            let grid = schedule.grid(k);
            let image = grid.positions() * channels;
            let mut expected = vec![0.0_f32; found.len()];
            for map in (0..2 * channels).map(|at| at / channels * image + at % channels) {
                let of = |values: &[f32]| -> Vec<f64> {
                    (0..grid.positions()).map(|p| f64::from(values[map + p * channels])).collect()
                };
                let (c, u) = (of(&x.conditional[k]), of(&x.unconditional[k]));
                let delta: Vec<f64> = c.iter().zip(&u).map(|(c, u)| c - u).collect();
                let guided = if grid.height.min(grid.width) < 4 {
                    delta
                } else {
                    let mut spectrum = dct(&delta, grid, false);
                    for (at, value) in spectrum.iter_mut().enumerate() {
                        let (i, j) = (at / grid.width, at % grid.width);
                        // The band of max(i/h, j/w), in whole numbers.
                        let band = (bands.len() * i / grid.height).max(bands.len() * j / grid.width);
                        *value *= bands[band];
                    }
                    dct(&spectrum, grid, true)
                };
                for (p, (c, d)) in c.iter().zip(guided).enumerate() {
                    expected[map + p * channels] = (c + t * d) as f32;
                }
            }
            assert_near(std::slice::from_ref(found), &[expected], 1e-4);
        }
    }

    #[test]
    fn each_is_cfg_where_its_own_part_does_nothing(schedule in schedules(), t in -0.9..4.0_f64, seed: u64) {
        let x = random(&schedule, 2, seed);
        let plain = x.guided(&Cfg::scale(t).unwrap()).unwrap();
        assert_near(&x.guided(&MagnitudeCfg::new(t, 0.0).unwrap()).unwrap(), &plain, 1e-5);
        assert_near(&x.guided(&FrequencyCfg::new(t, &[1.0, 1.0, 1.0]).unwrap()).unwrap(), &plain, 1e-4);
        // Sides that point the same way: the best multiple and the singular vector are c itself, and there is
        // nothing left.
        let mut same = x.clone();
        for (u, c) in same.unconditional.iter_mut().flatten().zip(x.conditional.iter().flatten()) {
            *u = 0.5 * c;
        }
        let centre = |scales: &[Vec<f32>]| -> Vec<Vec<f32>> {
            let of = |values: &Vec<f32>| centred(values, x.alphabet).iter().map(|&v| v as f32).collect();
            scales.iter().map(of).collect()
        };
        let zero = same.guided(&CfgZeroStar::new(t).unwrap()).unwrap();
        assert_near(&centre(&zero), &centre(&x.conditional), 1e-4);
        let tangent = same.guided(&Tcfg::new(t).unwrap()).unwrap();
        let plain = same.guided(&Cfg::scale(t).unwrap()).unwrap();
        assert_near(&centre(&tangent), &centre(&plain), 1e-4);
    }
}

/// Two to four grids around the smallest side on which bands are distinguished.
fn grids() -> impl Strategy<Value = ScaleSchedule> {
    (1..4_usize, 3..5_usize, prop::collection::vec((0..3_usize, 0..3_usize), 1..4)).prop_map(
        |(h, w, growth)| {
            let grids = growth.iter().scan(Grid::new(h, w), |grid, (down, right)| {
                *grid = Grid::new(grid.height + down, grid.width + right);
                Some(*grid)
            });
            ScaleSchedule::new(std::iter::once(Grid::new(h, w)).chain(grids).collect()).unwrap()
        },
    )
}

fn all(scale: impl Into<Strength>) -> Vec<Arc<dyn Guidance>> {
    let scale = scale.into();
    let mut rules: Vec<Arc<dyn Guidance>> =
        vec![Arc::new(FrequencyCfg { scale: scale.clone(), ..FrequencyCfg::new(1.0, &[0.5, 1.5]).unwrap() })];
    for over in EXTENTS {
        rules.push(Arc::new(CfgZeroStar { over, scale: scale.clone() }));
        rules.push(Arc::new(Tcfg { over, scale: scale.clone() }));
        rules.push(Arc::new(MagnitudeCfg { over, scale: scale.clone(), damping: 0.7 }));
    }
    rules
}

#[test]
fn flat_logits_on_either_side_are_no_fault() {
    let schedule = ScaleSchedule::square(&[1, 4]).unwrap();
    for (c, u) in [(true, false), (false, true), (true, true)] {
        let mut x = random(&schedule, 1, 1);
        if c {
            x.conditional.iter_mut().for_each(|values| values.fill(0.75));
        }
        if u {
            x.unconditional.iter_mut().for_each(|values| values.fill(-0.5));
        }
        for rule in all(2.0) {
            let guided = x.guided(&*rule).unwrap();
            assert!(guided.iter().flatten().all(|value| value.is_finite()), "{rule:?}");
            if c && u {
                let spread = |values: &Vec<f32>| centred(values, x.alphabet).iter().all(|v| v.abs() < 1e-5);
                assert!(guided.iter().all(spread), "{rule:?}");
            }
        }
    }
}

#[test]
fn orthogonal_sides_of_one_length_stay_as_they_are_under_tcfg() {
    let schedule = ScaleSchedule::square(&[1]).unwrap();
    let mut x = Generation::random(&schedule, Alphabet::codes(4), 1, 1);
    x.conditional[0] = vec![1.0, -1.0, 0.0, 0.0];
    x.unconditional[0] = vec![0.0, 0.0, 1.0, -1.0];
    let found = x.guided(&Tcfg::new(2.0).unwrap()).unwrap();
    assert_near(&found, &[vec![3.0, -3.0, -2.0, 2.0]], 1e-6);
}

#[test]
fn without_scale_each_is_the_conditional_to_the_bit() {
    let schedule = ScaleSchedule::square(&[1, 2, 4]).unwrap();
    let mut x = random(&schedule, 2, 3);
    x.conditional.iter_mut().for_each(|values| values[0] = -0.0);
    for off in [Strength::Constant(0.0), Strength::List(vec![0.0; 3])] {
        for rule in all(off) {
            // Given only what the rule asks for, which is not the unconditional pass.
            assert_eq!(bits(&x.guided(&*rule).unwrap()), bits(&x.conditional), "{rule:?}");
        }
    }
}
