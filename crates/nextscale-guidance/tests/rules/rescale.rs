use std::sync::Arc;

use nextscale_core::{Alphabet, ScaleSchedule};
use nextscale_guidance::{Cfg, Conditional, Extent, Guidance, PriorHistory, Rescale, Ssg, Strength};
use nextscale_priors::Nearest;
use proptest::prelude::*;

use super::support::{Generation, assert_near, bits, mix, random, schedules};

fn rescaled(rule: &Arc<dyn Guidance>, amount: impl Into<Strength>, over: Extent) -> Rescale {
    Rescale::new(Arc::new(Conditional), rule.clone(), amount, over).unwrap()
}

/// The mean of the squared deviations from each choice's mean, over consecutive groups of logits.
fn variances(values: &[f32], alphabet: Alphabet, extent: usize) -> Vec<f64> {
    let squares: Vec<f64> = values
        .chunks(alphabet.classes)
        .flat_map(|row| {
            let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / row.len() as f64;
            row.iter().map(move |&v| (f64::from(v) - mean).powi(2))
        })
        .collect();
    squares.chunks(extent).map(|part| part.iter().sum::<f64>() / part.len() as f64).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn it_is_equations_15_and_16_with_deviations_from_each_choice_s_mean(
        schedule in schedules(), codes: bool, phi in 0.05..1.0_f64, t in 0.5..4.0_f64, seed: u64,
    ) {
        let alphabet = if codes { Alphabet::codes(5) } else { Alphabet::bits(3) };
        let x = Generation::random(&schedule, alphabet, 3, seed);
        let cfg: Arc<dyn Guidance> = Arc::new(Cfg::scale(t).unwrap());
        let guided = mix(1.0 + t as f32, &x.conditional, -t as f32, &x.unconditional);
        for over in [Extent::Image, Extent::Position] {
            let scale = |k: usize| -> Vec<f32> {
                let extent = match over {
                    Extent::Image => schedule.grid(k).positions() * alphabet.channels(),
                    Extent::Position => alphabet.channels(),
                };
                let (b, g) = (
                    variances(&x.conditional[k], alphabet, extent),
                    variances(&guided[k], alphabet, extent),
                );
                guided[k].iter().enumerate().map(|(at, &g_at)| {
                    let spread = (b[at / extent] / g[at / extent]).sqrt();
                    (f64::from(g_at) * (phi * spread + 1.0 - phi)) as f32
                }).collect()
            };
            let expected: Vec<Vec<f32>> = (0..schedule.len()).map(scale).collect();
            assert_near(&x.guided(&rescaled(&cfg, phi, over)).unwrap(), &expected, 2e-4);
        }
    }

    #[test]
    fn wholly_rescaled_logits_have_the_spread_of_the_base(schedule in schedules(), seed: u64) {
        let x = random(&schedule, 2, seed);
        let cfg: Arc<dyn Guidance> = Arc::new(Cfg::scale(3.0).unwrap());
        let found = x.guided(&rescaled(&cfg, 1.0, Extent::Position)).unwrap();
        for (found, base) in found.iter().zip(&x.conditional) {
            let of = |values: &[f32]| variances(values, x.alphabet, x.alphabet.channels());
            for (found, base) in of(found).iter().zip(of(base)) {
                prop_assert!((found - base).abs() < 1e-3 * base.max(0.1), "{} instead of {}", found, base);
            }
        }
    }

    #[test]
    fn without_an_amount_it_is_the_rule_to_the_bit_whatever_the_base_holds(schedule in schedules(), seed: u64) {
        let mut x = random(&schedule, 2, seed);
        x.conditional.iter_mut().for_each(|values| values[0] = -0.0);
        let rule: Arc<dyn Guidance> = Arc::new(Conditional);
        let base: Arc<dyn Guidance> = Arc::new(Cfg::scale(2.0).unwrap());
        let rescale = Rescale::new(base, rule, 0.0, Extent::Image).unwrap();
        // The unconditional pass, which the base alone would read, is not run.
        prop_assert_eq!(bits(&x.guided(&rescale).unwrap()), bits(&x.conditional));
    }
}

#[test]
fn flat_logits_stay_as_they_are() {
    let schedule = ScaleSchedule::square(&[2]).unwrap();
    let mut x = random(&schedule, 1, 1);
    x.conditional[0].fill(0.75);
    x.unconditional[0].fill(-0.5);
    let cfg: Arc<dyn Guidance> = Arc::new(Cfg::scale(1.0).unwrap());
    for over in [Extent::Image, Extent::Position] {
        assert_eq!(x.guided(&rescaled(&cfg, 0.7, over)).unwrap(), [[2.0; 12]]);
    }
}

#[test]
fn a_base_that_reads_its_own_past_keeps_up_where_nothing_is_rescaled() {
    let schedule = ScaleSchedule::square(&[1, 2, 3, 4, 5]).unwrap();
    let x = random(&schedule, 2, 7);
    let own = Ssg::new(Arc::new(Conditional), Arc::new(Nearest), 0.5).unwrap();
    let own: Arc<dyn Guidance> = Arc::new(own.with_history(PriorHistory::Guided));
    let rescale = |amount: Strength| {
        Rescale::new(own.clone(), Arc::new(Cfg::scale(2.0).unwrap()), amount, Extent::Image).unwrap()
    };
    let late = x.guided(&rescale(Strength::during(3, 4, 0.5))).unwrap();
    let always = x.guided(&rescale(0.5.into())).unwrap();
    assert_eq!(bits(&late[3..]), bits(&always[3..]));
}
