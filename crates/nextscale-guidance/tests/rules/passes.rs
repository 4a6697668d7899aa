use std::sync::Arc;

use nextscale_core::{PassPlan, Passes, ScaleSchedule};
use nextscale_guidance::{Cfg, Conditional, Guidance, Ssg, Strength, Sum};
use nextscale_priors::Dse;

const ONE: Passes = Passes::CONDITIONAL;
const BOTH: Passes = Passes::BOTH;

fn schedule() -> ScaleSchedule {
    ScaleSchedule::square(&[1, 2, 3, 4]).unwrap()
}

/// What a rule reads at each scale, and what a backbone with a causal cache then runs.
fn plan(rule: &dyn Guidance) -> ([Passes; 4], [Passes; 4]) {
    let wanted: [Passes; 4] = std::array::from_fn(|k| rule.passes(k, &schedule()));
    let plan = PassPlan::new(wanted.to_vec(), &schedule()).unwrap();
    (wanted, std::array::from_fn(|k| plan.run(k).clone()))
}

fn ssg(base: impl Guidance) -> Ssg {
    Ssg::new(Arc::new(base), Arc::new(Dse::default()), 0.5).unwrap()
}

#[test]
fn ssg_alone_never_runs_the_unconditional_pass() {
    assert_eq!(plan(&Conditional), ([ONE; 4], [ONE; 4]));
    assert_eq!(plan(&ssg(Conditional)), ([ONE; 4], [ONE; 4]));
    assert_eq!(plan(&ssg(ssg(Conditional))), ([ONE; 4], [ONE; 4]));
}

#[test]
fn cfg_runs_both_passes_throughout_and_reads_them_where_it_is_on() {
    assert_eq!(plan(&Cfg::scale(1.0).unwrap()), ([BOTH; 4], [BOTH; 4]));
    assert_eq!(plan(&Cfg::scale(Strength::Ramp(1.5)).unwrap()), ([ONE, BOTH, BOTH, BOTH], [BOTH; 4]));
    assert_eq!(plan(&Cfg::weight(3.0).unwrap()), ([BOTH; 4], [BOTH; 4]));
    assert_eq!(plan(&Cfg::weight(1.0).unwrap()), ([ONE; 4], [ONE; 4]));
}

#[test]
fn the_unconditional_pass_stops_after_the_last_scale_that_needs_it() {
    let cfg = || Cfg::scale(Strength::during(1, 2, 2.0)).unwrap();
    let expected = ([ONE, BOTH, BOTH, ONE], [BOTH, BOTH, BOTH, ONE]);
    assert_eq!(plan(&cfg()), expected);
    assert_eq!(plan(&ssg(cfg())), expected);
    assert_eq!(
        plan(&Sum::new(Arc::new(Conditional), vec![Arc::new(cfg()), Arc::new(ssg(Conditional))])),
        expected
    );
    assert_eq!(plan(&Cfg::weight(Strength::during(1, 2, 2.0)).unwrap()), expected);
}

#[test]
fn lookback_counts_the_nested_ssgs() {
    assert_eq!(Conditional.lookback(), 0);
    assert_eq!(ssg(Cfg::scale(1.0).unwrap()).lookback(), 1);
    assert_eq!(ssg(ssg(Conditional)).lookback(), 2);
    let sum = Sum::new(Arc::new(Conditional), vec![Arc::new(Conditional), Arc::new(ssg(Conditional))]);
    assert_eq!(sum.lookback(), 1);
}
