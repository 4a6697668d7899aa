use nextscale_core::{Alphabet, ScaleSchedule};
use nextscale_guidance::{Apg, Cfg, Extent, Strength};
use proptest::prelude::*;

use super::support::{Generation, apgs, assert_near, bits, centred, random, schedules};

/// Algorithm 1 of the paper, written out, on the logits of one extent of `positions` positions.
fn by_hand(rule: &Apg, t: f64, c: &[f32], u: &[f32], alphabet: Alphabet, positions: usize) -> Vec<f32> {
    let (c_mid, u_mid) = (centred(c, alphabet), centred(u, alphabet));
    let delta: Vec<f64> = c_mid.iter().zip(&u_mid).map(|(c, u)| c - u).collect();
    let norm = (delta.iter().map(|d| d * d).sum::<f64>() / positions as f64).sqrt();
    let shrink = rule.norm.map_or(1.0, |r| (r / norm).min(1.0));
    let delta: Vec<f64> = delta.iter().map(|d| d * shrink).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let along = dot(&delta, &c_mid) / dot(&c_mid, &c_mid);
    let parallel: Vec<f64> = c_mid.iter().map(|c| along * c).collect();
    let orthogonal: Vec<f64> = delta.iter().zip(&parallel).map(|(d, p)| d - p).collect();
    assert!(dot(&orthogonal, &c_mid).abs() < 1e-9 * dot(&c_mid, &c_mid).max(1.0));
    c_mid
        .iter()
        .zip(orthogonal)
        .zip(parallel)
        .map(|((c, o), p)| (c + t * (o + rule.parallel * p)) as f32)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn it_is_the_paper_s_algorithm_up_to_an_offset_of_each_choice(
        schedule in schedules(), codes: bool, seed: u64,
    ) {
        let alphabet = if codes { Alphabet::codes(5) } else { Alphabet::bits(3) };
        let x = Generation::random(&schedule, alphabet, 2, seed);
        for rule in apgs() {
            let found = x.guided(&rule).unwrap();
            for (k, found) in found.iter().enumerate() {
                let positions = match rule.over {
                    Extent::Image => schedule.grid(k).positions(),
                    Extent::Position => 1,
                };
                let size = positions * alphabet.channels();
                let t = rule.scale.at(k, &schedule);
                let parts = x.conditional[k].chunks(size).zip(x.unconditional[k].chunks(size));
                let expected: Vec<f32> =
                    parts.flat_map(|(c, u)| by_hand(&rule, t, c, u, alphabet, positions)).collect();
                let found: Vec<f32> = centred(found, alphabet).into_iter().map(|v| v as f32).collect();
                assert_near(&[found], &[expected], 2e-4);
            }
        }
    }

    #[test]
    fn all_of_the_parallel_part_and_no_limit_is_cfg(schedule in schedules(), t in -1.0..4.0_f64, seed: u64) {
        let x = random(&schedule, 2, seed);
        for over in [Extent::Image, Extent::Position] {
            let apg = Apg { parallel: 1.0, over, ..Apg::new(t).unwrap() };
            assert_near(&x.guided(&apg).unwrap(), &x.guided(&Cfg::scale(t).unwrap()).unwrap(), 1e-5);
        }
    }

    #[test]
    fn without_scale_it_is_the_conditional_to_the_bit(schedule in schedules(), seed: u64) {
        let mut x = random(&schedule, 2, seed);
        x.conditional.iter_mut().for_each(|values| values[0] = -0.0);
        for rule in apgs() {
            // Given only what the rule asks for, which is not the unconditional pass.
            let off = Apg { scale: 0.0.into(), ..rule };
            prop_assert_eq!(bits(&x.guided(&off).unwrap()), bits(&x.conditional));
        }
    }
}

#[test]
fn logits_that_agree_and_logits_that_say_nothing_are_left_alone() {
    let schedule = ScaleSchedule::square(&[2]).unwrap();
    let mut x = random(&schedule, 1, 1);
    x.unconditional = x.conditional.clone();
    for rule in apgs() {
        assert_near(&x.guided(&rule).unwrap(), &x.conditional, 1e-6);
    }
    x.conditional[0].fill(1.0);
    let flat = x.guided(&Apg::new(2.0).unwrap()).unwrap();
    // Without a direction to be parallel to, all of Δ is orthogonal.
    assert_near(&flat, &x.guided(&Cfg::scale(2.0).unwrap()).unwrap(), 1e-5);
}

#[test]
fn cfg_within_an_interval_is_cfg_there_and_the_conditional_elsewhere() {
    let schedule = ScaleSchedule::square(&[1, 2, 3, 4, 5]).unwrap();
    let x = random(&schedule, 2, 3);
    let (within, always) = (Cfg::scale(Strength::during(1, 3, 2.5)).unwrap(), Cfg::scale(2.5).unwrap());
    // 2404.07724, equation 5: the weight is w inside the interval, and 1, which is no guidance, outside.
    let (found, guided) = (x.guided(&within).unwrap(), x.guided(&always).unwrap());
    for k in 0..5 {
        let expected = if (1..=3).contains(&k) { &guided[k] } else { &x.conditional[k] };
        assert_eq!(bits(&found[k..=k]), bits(std::slice::from_ref(expected)), "scale {k}");
    }
}

/// InfinityStar's order written out: logits over τ, the difference shortened to a root mean square of ρ, its
/// part along c removed, and the rest added w − 1 times.
#[test]
fn infinity_star_s_threshold_and_temperature_convert() {
    let schedule = ScaleSchedule::square(&[1, 3]).unwrap();
    let alphabet = Alphabet::bits(4);
    let mut x = Generation::random(&schedule, alphabet, 2, 11);
    for scales in [&mut x.conditional, &mut x.unconditional] {
        for values in scales {
            *values = centred(values, alphabet).into_iter().map(|v| v as f32).collect();
        }
    }
    let (w, rho, tau) = (34.0, 0.05, 0.4);
    let rule = Apg::infinity_star(w, rho, tau, alphabet.channels()).unwrap();
    let found = x.guided(&rule).unwrap();
    for (k, found) in found.iter().enumerate() {
        let size = schedule.grid(k).positions() * alphabet.channels();
        let mut expected = Vec::new();
        for (c, u) in x.conditional[k].chunks(size).zip(x.unconditional[k].chunks(size)) {
            let over = |values: &[f32]| values.iter().map(|&v| f64::from(v) / tau).collect::<Vec<_>>();
            let (c, u) = (over(c), over(u));
            let mut difference: Vec<f64> = c.iter().zip(&u).map(|(c, u)| c - u).collect();
            let size = (difference.iter().map(|d| d * d).sum::<f64>() / difference.len() as f64).sqrt();
            assert!(size > rho, "nothing is shortened");
            difference.iter_mut().for_each(|d| *d *= rho / size);
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let along = dot(&difference, &c) / dot(&c, &c);
            expected.extend(c.iter().zip(&difference).map(|(c, d)| (c + (w - 1.0) * (d - along * c)) as f32));
        }
        // The sampler's temperature comes after guidance here.
        let found: Vec<f32> = found.iter().map(|value| value / tau as f32).collect();
        assert_near(&[found], &[expected], 2e-4);
    }
    assert!(Apg::infinity_star(34.0, 0.0, 0.4, 8).is_err());
}
