use std::sync::Arc;
use std::sync::atomic::Ordering;

use burn::tensor::DType;
use nextscale_core::{LogitMap, PassLogits, Passes, Result, ScaleSchedule};
use nextscale_guidance::{Cfg, Conditional, Guidance, History, PriorHistory, Ssg, Step, Sum};
use nextscale_priors::Dse;

use super::support::{Counting, CountingPrior, bits, random, rules, values};

fn schedule() -> ScaleSchedule {
    ScaleSchedule::square(&[1, 2, 3, 4, 4, 5]).unwrap()
}

fn ssg(base: Arc<dyn Guidance>) -> Ssg {
    Ssg::new(base, Arc::new(Dse::default()), 0.5).unwrap()
}

#[test]
fn every_rule_of_a_deep_nest_is_computed_once_a_scale() {
    let leaf = Counting::new(Cfg::scale(1.0).unwrap());
    let inner = Counting::new(ssg(leaf.clone()));
    let middle = Counting::new(ssg(inner.clone()).with_history(PriorHistory::Guided));
    let outer = Counting::new(ssg(middle.clone()));
    let sum = Sum::new(leaf.clone(), vec![outer.clone(), middle.clone(), inner.clone()]);
    random(&schedule(), 1, 1).guided(&sum).unwrap();
    assert_eq!([leaf.calls(), inner.calls(), middle.calls(), outer.calls()], [6; 4]);
}

#[test]
fn a_guided_history_keeps_no_more_than_the_scale_before() {
    let base = Counting::new(Conditional);
    let rule = Counting::new(ssg(base.clone()).with_history(PriorHistory::Guided));
    assert_eq!(rule.lookback(), 1);
    random(&schedule(), 1, 1).guided(&*rule).unwrap();
    assert_eq!((base.calls(), rule.calls()), (6, 6));
}

#[test]
fn operators_are_made_once_a_pair_of_grids_and_survive_a_restart() {
    let prior = Arc::new(CountingPrior::default());
    let inner = Ssg::new(Arc::new(Conditional), prior.clone(), 0.5).unwrap();
    let rule = Ssg::new(Arc::new(inner), prior.clone(), 0.25).unwrap();
    let (schedule, x) = (schedule(), random(&schedule(), 2, 1));
    let mut history = History::new(schedule.clone(), rule.lookback());
    let mut runs = Vec::new();
    for _ in 0..2 {
        history.restart();
        assert!(history.current().is_none());
        runs.push(Vec::new());
        for k in 0..schedule.len() {
            history.push(x.logits(k, &Passes::CONDITIONAL).unwrap());
            runs.last_mut().unwrap().push(values(&history.guide(&rule).unwrap()));
        }
    }
    assert_eq!(prior.made.load(Ordering::Relaxed), 5);
    assert_eq!(bits(&runs[0]), bits(&runs[1]));
    assert_eq!(bits(&runs[0]), bits(&x.guided(&rule).unwrap()));
}

#[test]
fn two_rules_share_a_history_without_mixing_their_outputs() {
    let (schedule, x) = (schedule(), random(&schedule(), 1, 9));
    let rules: [&dyn Guidance; 2] = [&Cfg::scale(1.0).unwrap(), &Cfg::scale(2.0).unwrap()];
    let mut history = History::new(schedule, 0);
    history.push(x.logits(0, &Passes::BOTH).unwrap());
    for rule in rules {
        for _ in 0..2 {
            let found = vec![values(&history.guide(rule).unwrap())];
            assert_eq!(bits(&found)[0], bits(&x.guided(rule).unwrap())[0]);
        }
    }
}

#[test]
fn older_steps_are_dropped_and_the_kept_ones_are_theirs() {
    let (schedule, x) = (schedule(), random(&schedule(), 1, 2));
    let mut history = History::new(schedule, 2);
    for k in 0..4 {
        history.push(x.logits(k, &Passes::CONDITIONAL).unwrap());
    }
    let mut step = history.current();
    for k in [3, 2, 1] {
        let at = step.unwrap();
        assert_eq!((at.index(), values(at.conditional().unwrap())), (k, x.conditional[k].clone()));
        step = at.previous();
    }
    assert!(step.is_none());
}

/// Reads one scale back and claims that it reads none.
#[derive(Debug)]
struct Forgetful(Ssg);

impl Guidance for Forgetful {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        self.0.guide(step)
    }

    fn passes(&self, _k: usize, _schedule: &ScaleSchedule) -> Passes {
        Passes::CONDITIONAL
    }

    fn lookback(&self) -> usize {
        0
    }
}

#[test]
fn a_lookback_that_is_too_small_is_an_error_and_not_a_first_scale() {
    let rule = Forgetful(ssg(Arc::new(Conditional)));
    let x = random(&schedule(), 1, 3);
    let mut history = History::new(schedule(), rule.lookback());
    history.push(x.logits(0, &Passes::CONDITIONAL).unwrap());
    assert!(history.guide(&rule).is_ok());
    history.push(x.logits(1, &Passes::CONDITIONAL).unwrap());
    let error = history.guide(&rule).unwrap_err().to_string();
    assert!(
        error.contains("scale 0 was dropped before scale 1 read it") && error.contains("lookback"),
        "{error}"
    );
}

#[test]
fn a_pass_that_was_not_run_is_named_with_its_scale() {
    let x = random(&schedule(), 1, 3);
    let mut history = History::new(schedule(), 0);
    history.push(x.logits(0, &Passes::CONDITIONAL).unwrap());
    let error = history.guide(&Cfg::scale(1.0).unwrap()).unwrap_err().to_string();
    assert!(error.contains("the unconditional pass was not run at scale 0"), "{error}");
}

#[test]
fn logits_of_another_scale_are_refused_with_both_grids() {
    let x = random(&schedule(), 1, 3);
    let mut history = History::new(schedule(), 0);
    history.push(x.logits(2, &Passes::CONDITIONAL).unwrap());
    let error = history.guide(&Conditional).unwrap_err().to_string();
    assert!(error.contains("at scale 0 on 3×3") && error.contains("1×1"), "{error}");
}

#[test]
fn there_is_nothing_to_guide_before_the_first_scale_and_after_the_last() {
    let schedule = ScaleSchedule::square(&[1]).unwrap();
    let x = random(&schedule, 1, 3);
    let mut history = History::new(schedule, 0);
    assert!(history.guide(&Conditional).is_err());
    history.push(x.logits(0, &Passes::CONDITIONAL).unwrap());
    assert!(history.guide(&Conditional).is_ok());
    history.push(x.logits(0, &Passes::CONDITIONAL).unwrap());
    let error = history.guide(&Conditional).unwrap_err().to_string();
    assert!(error.contains("2 were pushed, and the schedule has 1"), "{error}");
}

#[test]
fn half_precision_comes_back_in_half_precision() {
    let (schedule, x) = (schedule(), random(&schedule(), 2, 4));
    for rule in rules() {
        let expected = x.guided(&*rule).unwrap();
        let mut history = History::new(schedule.clone(), rule.lookback());
        for (k, expected) in expected.iter().enumerate() {
            let half = |map: LogitMap| map.with_values(map.values().clone().cast(DType::F16)).unwrap();
            let logits = x.logits(k, &rule.passes(k, &schedule)).unwrap();
            let halved = logits.iter().map(|(pass, map)| (pass.clone(), half(map.clone())));
            history.push(halved.collect::<PassLogits>());
            let guided = history.guide(&*rule).unwrap();
            assert_eq!(guided.values().dtype(), DType::F16, "{rule:?}");
            let found: Vec<f32> = guided.into_values().cast(DType::F32).into_data().try_to_vec().unwrap();
            let largest = expected.iter().fold(1.0_f32, |most, value| most.max(value.abs()));
            let far = found.iter().zip(expected).filter(|(a, b)| (*a - *b).abs() > 0.02 * largest).count();
            // A choice whose value lies within rounding of a gate's threshold may go the other way.
            assert!(far * 20 <= found.len(), "{rule:?} at scale {k}: {far} of {}", found.len());
        }
    }
}
