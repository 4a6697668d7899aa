//! The rules that guide away from a worse prediction, compared with their equation written out in
//! f64.

use std::sync::Arc;

use nextscale_core::{
    Alphabet, Corruption, Pass, PassModel, Passes, Perturbation, Prefix, Replacement, ScaleSchedule,
};
use nextscale_guidance::{
    Autoguidance, Cfg, Conditional, Guidance, PerturbedAttention, SkipLayers, Ssg, Strength, Vpg,
};
use nextscale_priors::Dse;
use proptest::prelude::*;

use super::support::{Generation, assert_near, bits, schedules};

/// Each rule over `base` with this weight, and the pass that it guides away from.
fn rules(base: &Arc<dyn Guidance>, weight: &Strength) -> Vec<(Arc<dyn Guidance>, Pass)> {
    let weak = Pass::CONDITIONAL.of(PassModel::Named("weak".into()));
    let mut rules: Vec<(Arc<dyn Guidance>, Pass)> = vec![
        (Arc::new(Autoguidance::new(base.clone(), "weak", weight.clone()).unwrap()), weak),
        (
            Arc::new(SkipLayers::new(base.clone(), &[3, 2], weight.clone()).unwrap()),
            Pass::CONDITIONAL.perturbed(Perturbation::skipping(&[2, 3]).unwrap()),
        ),
        (
            Arc::new(PerturbedAttention::new(base.clone(), &[1], weight.clone()).unwrap()),
            Pass::CONDITIONAL.perturbed(Perturbation::identity_attention(&[1]).unwrap()),
        ),
    ];
    for corrupt in [Replacement::OtherPosition, Replacement::Zeros, Replacement::ScaleMean] {
        let prefix = Prefix::Corrupted(Corruption::new(0.3, corrupt).unwrap());
        let rule = Vpg::new(base.clone(), 0.3, corrupt, weight.clone()).unwrap();
        rules.push((Arc::new(rule), Pass::CONDITIONAL.on(prefix)));
    }
    rules
}

fn bases() -> [Arc<dyn Guidance>; 3] {
    let cfg: Arc<dyn Guidance> = Arc::new(Cfg::scale(1.5).unwrap());
    let ssg = Ssg::new(cfg.clone(), Arc::new(Dse::default()), 0.5).unwrap();
    [Arc::new(Conditional), cfg, Arc::new(ssg)]
}

fn is_vpg(pass: &Pass) -> bool {
    pass.prefix != Prefix::Drawn
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_base_gains_the_difference_from_the_worse_prediction(
        schedule in schedules(), codes: bool, w in -1.0..3.0_f64, seed: u64,
    ) {
        let alphabet = if codes { Alphabet::codes(5) } else { Alphabet::bits(3) };
        let weight = Strength::Linear { from: w, to: 2.0 * w };
        for base in bases() {
            for (rule, worse) in rules(&base, &weight) {
                let x = Generation::random(&schedule, alphabet, 2, seed).for_rule(&*rule);
                let of_base = x.guided(&*base).unwrap();
                let expected: Vec<Vec<f32>> = (0..schedule.len()).map(|k| {
                    if k == 0 && is_vpg(&worse) {
                        return of_base[0].clone();
                    }
                    let w = weight.at(k, &schedule);
                    let (c, other) = (&x.conditional[k], x.others.get(&worse).map(|scales| &scales[k]));
                    of_base[k].iter().enumerate().map(|(at, &b)| {
                        let away = other.map_or(0.0, |other| f64::from(c[at]) - f64::from(other[at]));
                        (f64::from(b) + w * away) as f32
                    }).collect()
                }).collect();
                assert_near(&x.guided(&*rule).unwrap(), &expected, 1e-5);
            }
        }
    }
}

#[test]
fn without_weight_each_is_its_base_to_the_bit_and_asks_for_nothing_more() {
    let schedule = ScaleSchedule::square(&[1, 2, 4]).unwrap();
    let x = Generation::random(&schedule, Alphabet::codes(5), 2, 7);
    for base in bases() {
        let expected = bits(&x.guided(&*base).unwrap());
        for (rule, _) in rules(&base, &Strength::Constant(0.0)) {
            assert!((0..3).all(|k| rule.passes(k, &schedule) == base.passes(k, &schedule)), "{rule:?}");
            assert_eq!(bits(&x.guided(&*rule).unwrap()), expected, "{rule:?}");
        }
    }
}

#[test]
fn a_worse_pass_is_asked_for_where_it_is_read() {
    let schedule = ScaleSchedule::square(&[1, 2, 4, 8]).unwrap();
    let base: Arc<dyn Guidance> = Arc::new(Conditional);
    for (rule, worse) in rules(&base, &Strength::during(0, 2, 1.0)) {
        let with = Passes::CONDITIONAL.union(worse.clone().into());
        let first = if is_vpg(&worse) { Passes::CONDITIONAL } else { with.clone() };
        let expected = [first, with.clone(), with, Passes::CONDITIONAL];
        assert_eq!(std::array::from_fn(|k| rule.passes(k, &schedule)), expected, "{rule:?}");
    }
}

#[test]
fn they_nest_under_ssg_and_over_it() {
    let schedule = ScaleSchedule::square(&[1, 2, 4]).unwrap();
    let base: Arc<dyn Guidance> = Arc::new(Conditional);
    for (rule, _) in rules(&base, &Strength::Constant(0.5)) {
        let over = Ssg::new(rule.clone(), Arc::new(Dse::default()), 0.5).unwrap();
        assert_eq!((rule.lookback(), over.lookback()), (0, 1));
        let x = Generation::random(&schedule, Alphabet::codes(5), 2, 7).for_rule(&over);
        // Scale 0 is the rule's own.
        assert_eq!(bits(&x.guided(&over).unwrap())[0], bits(&x.guided(&*rule).unwrap())[0]);
    }
}
