use nextscale_core::{Mixing, Pass, Passes, ScaleSchedule};
use nextscale_guidance::{CfgInside, Conditional, Guidance, Strength};

use super::support::{Generation, assert_near, bits, mix, random};

fn schedule() -> ScaleSchedule {
    ScaleSchedule::square(&[1, 2, 3, 4]).unwrap()
}

/// The two passes of a mixing, as a backbone would return them; the rule cannot compute them.
fn sides(rule: &CfgInside, weights: [f64; 4]) -> (Generation, [Vec<Vec<f32>>; 2]) {
    let mixing = Mixing::new(&rule.layers, &weights).unwrap();
    let x = random(&schedule(), 2, 3).for_rule(rule);
    let side = |pass: Pass| x.others.get(&pass.mixed(mixing.clone())).cloned().unwrap_or_default();
    let both = [Pass::CONDITIONAL, Pass::UNCONDITIONAL].map(side);
    (x, both)
}

#[test]
fn its_logits_are_those_of_the_mixed_conditional_side() {
    let rule = CfgInside::new(&[2, 1], 3.0).unwrap();
    let (x, [conditional, _]) = sides(&rule, [3.0; 4]);
    assert_eq!(bits(&x.guided(&rule).unwrap()), bits(&conditional));
    assert!(bits(&conditional) != bits(&x.conditional));
}

#[test]
fn logits_are_mixed_too_where_it_is_asked_for_and_the_weight_is_not_one() {
    let weights = Strength::List(vec![2.0, 1.0, 3.0, 0.5]);
    let rule = CfgInside { logits: true, ..CfgInside::new(&[1], weights).unwrap() };
    let (x, [c, u]) = sides(&rule, [2.0, 1.0, 3.0, 0.5]);
    let expected: Vec<_> = [2.0_f32, 1.0, 3.0, 0.5]
        .into_iter()
        .enumerate()
        .map(|(k, w)| mix(w, &c[k..k + 1], 1.0 - w, &u[k..k + 1]).remove(0))
        .collect();
    assert_near(&x.guided(&rule).unwrap(), &expected, 1e-5);
    assert_eq!(rule.passes(1, &schedule()).len(), 1);
    assert_eq!(rule.passes(2, &schedule()).len(), 2);
}

#[test]
fn outside_its_range_it_mixes_nothing_and_off_everywhere_it_is_the_conditional_pass() {
    let during = CfgInside::new(&[1], Strength::during(1, 2, 3.0)).unwrap();
    let (x, [conditional, _]) = sides(&during, [1.0, 3.0, 3.0, 1.0]);
    assert_eq!(bits(&x.guided(&during).unwrap()), bits(&conditional));
    let off = CfgInside::new(&[1], 1.0).unwrap();
    assert_eq!(off.passes(0, &schedule()), Passes::CONDITIONAL);
    assert_eq!(bits(&x.guided(&off).unwrap()), bits(&x.guided(&Conditional).unwrap()));
}

#[test]
fn layers_that_are_none_are_named() {
    let refused = |layers: &[usize]| CfgInside::new(layers, 3.0).unwrap_err().to_string();
    assert!(refused(&[]).starts_with("layers: ") && refused(&[0, 1]).starts_with("layers: "));
    assert!(CfgInside::new(&[1], f64::NAN).unwrap_err().to_string().starts_with("weight: "));
}
