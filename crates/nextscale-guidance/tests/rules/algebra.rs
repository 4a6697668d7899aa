use std::sync::Arc;

use nextscale_guidance::{Cfg, Conditional, Guidance, Ssg, Strength, Sum};
use nextscale_priors::{Dse, Nearest};
use proptest::prelude::*;

use super::support::{Generation, assert_near, bits, linear_rules, mix, random, rules, schedules};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn rules_that_are_linear_are_so_in_all_logits_together(
        schedule in schedules(), a in -2.0..2.0_f32, b in -2.0..2.0_f32, seed: u64,
    ) {
        let x = random(&schedule, 2, seed);
        let y = random(&schedule, 2, seed ^ 0x5eed);
        for rule in linear_rules() {
            let expected = mix(a, &x.guided(&*rule).unwrap(), b, &y.guided(&*rule).unwrap());
            // The guided values reach about 100 under two nested SSGs over CFG.
            assert_near(&x.mixed(a, &y, b).guided(&*rule).unwrap(), &expected, 5e-4);
        }
    }

    #[test]
    fn an_image_is_the_same_to_the_bit_in_every_batch(schedule in schedules(), seed: u64) {
        let all = random(&schedule, 5, seed);
        for rule in rules() {
            let guided = all.guided(&*rule).unwrap();
            for images in [&[3][..], &[4, 0], &[2, 2, 1], &[4, 3, 2, 1, 0]] {
                let expected = Generation { conditional: guided.clone(), ..all.clone() }.images(images);
                let found = all.images(images).guided(&*rule).unwrap();
                prop_assert_eq!(bits(&found), bits(&expected.conditional), "{:?} of {:?}", images, rule);
            }
        }
    }

    #[test]
    fn cfg_is_its_formula_in_both_forms(schedule in schedules(), t in -2.0..4.0_f64, seed: u64) {
        let x = random(&schedule, 2, seed);
        let expected = mix(1.0 + t as f32, &x.conditional, -t as f32, &x.unconditional);
        let scale = Cfg::scale(t).unwrap();
        for rule in [scale.clone(), Cfg::weight(1.0 + t).unwrap(), scale.to_weight(), scale.to_weight().to_scale()] {
            assert_near(&x.guided(&rule).unwrap(), &expected, 1e-5);
        }
    }

    #[test]
    fn corrections_add_up_whatever_their_order(schedule in schedules(), seed: u64) {
        let x = random(&schedule, 2, seed);
        let base: Arc<dyn Guidance> = Arc::new(Conditional);
        let cfg: Arc<dyn Guidance> = Arc::new(Cfg::scale(Strength::Ramp(1.5)).unwrap());
        let ssg: Arc<dyn Guidance> = Arc::new(Ssg::new(base.clone(), Arc::new(Dse::default()), 0.5).unwrap());
        let (c, s) = (x.guided(&*cfg).unwrap(), x.guided(&*ssg).unwrap());
        let expected = mix(1.0, &mix(1.0, &c, 1.0, &s), -1.0, &x.conditional);
        for rules in [vec![cfg.clone(), ssg.clone()], vec![ssg.clone(), cfg.clone()]] {
            assert_near(&x.guided(&Sum::new(base.clone(), rules)).unwrap(), &expected, 1e-5);
        }
        let none = Sum::new(cfg.clone(), vec![]);
        prop_assert_eq!(bits(&x.guided(&none).unwrap()), bits(&c));
        let one = Sum::new(base, vec![ssg]);
        prop_assert_eq!(bits(&x.guided(&one).unwrap()), bits(&s));
    }

    #[test]
    fn ssg_over_cfg_is_cfg_of_the_ssgs_when_strengths_are_constant(
        schedule in schedules(), t in 0.1..3.0_f64, beta in 0.1..2.0_f64, seed: u64,
    ) {
        let x = random(&schedule, 2, seed);
        let ssg = |base: Arc<dyn Guidance>| Ssg::new(base, Arc::new(Nearest), beta).unwrap();
        let unconditional = Generation { conditional: x.unconditional.clone(), ..x.clone() };
        let plain = ssg(Arc::new(Conditional));
        let expected = mix(1.0 + t as f32, &x.guided(&plain).unwrap(), -t as f32, &unconditional.guided(&plain).unwrap());
        assert_near(&x.guided(&ssg(Arc::new(Cfg::scale(t).unwrap()))).unwrap(), &expected, 2e-4);
    }
}
