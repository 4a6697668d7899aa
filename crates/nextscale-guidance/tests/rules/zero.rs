use std::sync::Arc;

use nextscale_core::Passes;
use nextscale_guidance::{Cfg, Conditional, Guidance, History, PriorHistory, Ssg, Strength, Sum};
use nextscale_priors::{Bilinear, Dse};
use proptest::prelude::*;

use super::support::{CHANNELS, Generation, bits, random, schedules, values};

/// The logits at the last scale under `rule`, with every pass present, whether the rule asks for it
/// or not.
fn last(generation: &Generation, rule: &dyn Guidance) -> Vec<f32> {
    let mut history = History::new(generation.schedule.clone(), rule.lookback());
    let mut guided = Vec::new();
    for k in 0..generation.schedule.len() {
        history.push(generation.logits(k, &Passes::BOTH).unwrap());
        guided = values(&history.guide(rule).unwrap());
    }
    guided
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn cfg_off_is_the_conditional_to_the_bit_whatever_the_unconditional_holds(
        schedule in schedules(), seed: u64,
    ) {
        let mut generation = random(&schedule, 2, seed);
        for (at, value) in generation.unconditional.iter_mut().flatten().enumerate() {
            *value = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][at % 3];
        }
        generation.conditional.iter_mut().for_each(|values| values[0] = -0.0);
        let end = schedule.len() - 1;
        for rule in [
            Cfg::scale(0.0),
            Cfg::scale(Strength::Linear { from: 1.0, to: 0.0 }),
            Cfg::scale(Strength::during(0, end - 1, 2.0)),
            Cfg::weight(1.0),
            Cfg::weight(Strength::during(0, end - 1, 2.0)),
        ] {
            let found = bits(&[last(&generation, &rule.unwrap())]);
            prop_assert_eq!(&found[0], &bits(&generation.conditional)[end]);
        }
        prop_assert_eq!(
            &bits(&generation.guided(&Cfg::scale(Strength::Ramp(2.0)).unwrap()).unwrap())[0],
            &bits(&generation.conditional)[0]
        );
    }

    #[test]
    fn ssg_off_is_its_base_to_the_bit_whatever_the_scale_before_holds(schedule in schedules(), seed: u64) {
        let mut generation = random(&schedule, 2, seed);
        let end = schedule.len() - 1;
        generation.conditional[end - 1].fill(f32::NAN);
        generation.conditional[end][CHANNELS] = -0.0;
        let off: [Strength; 3] =
            [0.0.into(), Strength::Linear { from: 1.0, to: 0.0 }, Strength::during(0, end - 1, 1.0)];
        for beta in off {
            for history in [PriorHistory::Base, PriorHistory::Guided] {
                for base in [Arc::new(Conditional) as Arc<dyn Guidance>, Arc::new(Cfg::scale(1.5).unwrap())] {
                    let ssg = Ssg::new(base.clone(), Arc::new(Dse::default()), beta.clone()).unwrap();
                    let found = last(&generation, &ssg.with_history(history));
                    prop_assert_eq!(bits(&[found]), bits(&[last(&generation, &*base)]));
                }
            }
        }
    }

    #[test]
    fn ssg_leaves_the_first_scale_alone(schedule in schedules(), beta in -3.0..3.0_f64, seed: u64) {
        let generation = random(&schedule, 2, seed);
        let base: Arc<dyn Guidance> = Arc::new(Cfg::scale(0.7).unwrap());
        let expected = bits(&generation.guided(&*base).unwrap());
        for history in [PriorHistory::Base, PriorHistory::Guided] {
            let ssg = Ssg::new(base.clone(), Arc::new(Bilinear), beta).unwrap().with_history(history);
            prop_assert_eq!(&bits(&generation.guided(&ssg).unwrap())[0], &expected[0]);
        }
    }

    #[test]
    fn a_sum_of_one_rule_that_is_off_is_the_base_to_the_bit(schedule in schedules(), seed: u64) {
        let generation = random(&schedule, 2, seed);
        let sum = Sum::new(Arc::new(Conditional), vec![Arc::new(Cfg::scale(0.0).unwrap())]);
        prop_assert_eq!(bits(&generation.guided(&sum).unwrap()), bits(&generation.conditional));
    }
}
