use std::sync::Arc;

use nextscale_core::{Alphabet, Passes, ScaleSchedule};
use nextscale_guidance::{Cfg, Conditional, Gate, Gated, Guidance, PriorHistory, Ssg, Strength};
use nextscale_priors::{Dse, Nearest};
use proptest::prelude::*;

use super::support::{Generation, bits, gates, mix, random, schedules};

fn gated(gate: Gate, strength: impl Into<Strength>) -> Gated {
    let cfg = Arc::new(Cfg::scale(2.0).unwrap());
    Gated::new(Arc::new(Conditional), cfg, gate, strength).unwrap()
}

/// Whether a choice's gate is open, and how far its value lies from the nearer end of the range.
fn open(gate: Gate, row: &[f32]) -> (bool, f64) {
    let exps: Vec<f64> = row.iter().map(|&v| f64::from(v).exp()).collect();
    let sum: f64 = exps.iter().sum();
    let p: Vec<f64> = exps.iter().map(|e| e / sum).collect();
    let (value, above, below) = match gate {
        Gate::Entropy { above, below } => {
            (-p.iter().map(|p| p * p.ln()).sum::<f64>() / (p.len() as f64).ln(), above, below)
        }
        Gate::Confidence { above, below } => (p.iter().copied().fold(0.0, f64::max), above, below),
    };
    ((above..=below).contains(&value), (value - above).abs().min((value - below).abs()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_rule_stands_where_its_base_is_sure_or_unsure_enough_and_the_base_elsewhere(
        schedule in schedules(), codes: bool, seed: u64,
    ) {
        let alphabet = if codes { Alphabet::codes(5) } else { Alphabet::bits(3) };
        let x = Generation::random(&schedule, alphabet, 2, seed);
        let rule = x.guided(&Cfg::scale(2.0).unwrap()).unwrap();
        let half = mix(0.5, &x.conditional, 0.5, &rule);
        let mut seen = [0, 0];
        for gate in gates() {
            let (whole, part) = (x.guided(&gated(gate, 1.0)).unwrap(), x.guided(&gated(gate, 0.5)).unwrap());
            for (k, base) in x.conditional.iter().enumerate() {
                for (choice, row) in base.chunks(alphabet.classes).enumerate() {
                    let (is_open, margin) = open(gate, row);
                    if margin < 1e-5 {
                        continue;
                    }
                    seen[usize::from(is_open)] += 1;
                    let at = choice * alphabet.classes..(choice + 1) * alphabet.classes;
                    let expected = if is_open { &rule[k] } else { base };
                    prop_assert_eq!(&whole[k][at.clone()], &expected[at.clone()]);
                    for i in at {
                        let expected = if is_open { half[k][i] } else { base[i] };
                        prop_assert!((part[k][i] - expected).abs() < 1e-5);
                    }
                }
            }
        }
        prop_assert!(seen[0] > 0 && seen[1] > 0, "{:?}", seen);
    }

    #[test]
    fn without_strength_it_is_the_base_to_the_bit(schedule in schedules(), seed: u64) {
        let mut x = random(&schedule, 2, seed);
        x.conditional.iter_mut().for_each(|values| values[0] = -0.0);
        for gate in gates() {
            prop_assert_eq!(bits(&x.guided(&gated(gate, 0.0)).unwrap()), bits(&x.conditional));
        }
    }

    #[test]
    fn a_gate_that_is_open_to_everything_is_the_rule_to_the_bit(schedule in schedules(), seed: u64) {
        let mut x = random(&schedule, 2, seed);
        // Certain choices, and entirely uncertain ones.
        x.conditional[0][..3].copy_from_slice(&[200.0, 0.0, 0.0]);
        x.conditional[1][..3].fill(0.25);
        let rule = bits(&x.guided(&Cfg::scale(2.0).unwrap()).unwrap());
        for gate in [Gate::Entropy { above: 0.0, below: 1.0 }, Gate::Confidence { above: 0.0, below: 1.0 }] {
            prop_assert_eq!(&bits(&x.guided(&gated(gate, 1.0)).unwrap()), &rule);
        }
    }
}

#[test]
fn masked_classes_are_no_doubt() {
    let schedule = ScaleSchedule::square(&[1]).unwrap();
    let mut x = random(&schedule, 1, 1);
    x.conditional[0] = vec![1.0, f32::NEG_INFINITY, f32::NEG_INFINITY];
    let ssg = Ssg::new(Arc::new(Conditional), Arc::new(Nearest), 0.5).unwrap();
    let sure = Gate::Entropy { above: 0.0, below: 0.1 };
    let rule = Gated::new(Arc::new(Cfg::scale(1.0).unwrap()), Arc::new(ssg), sure, 1.0).unwrap();
    let found = x.guided(&rule).unwrap();
    assert_eq!(bits(&found), bits(&x.conditional), "the gate is open and the rule's logits stand");
}

#[test]
fn a_rule_that_reads_its_own_past_keeps_up_where_it_is_off() {
    let schedule = ScaleSchedule::square(&[1, 2, 3, 4, 5]).unwrap();
    let x = random(&schedule, 2, 7);
    let own: Arc<dyn Guidance> = Arc::new(
        Ssg::new(Arc::new(Cfg::scale(1.0).unwrap()), Arc::new(Dse::default()), 0.5)
            .unwrap()
            .with_history(PriorHistory::Guided),
    );
    let rule =
        |strength: Strength| Gated::new(Arc::new(Conditional), own.clone(), gates()[0], strength).unwrap();
    let late = x.guided(&rule(Strength::during(3, 4, 1.0))).unwrap();
    assert_eq!(bits(&late[3..]), bits(&x.guided(&rule(1.0.into())).unwrap()[3..]));
    assert_eq!(bits(&late[..3]), bits(&x.conditional[..3]));
}

#[test]
fn the_passes_of_a_rule_that_is_off_are_not_run() {
    let schedule = ScaleSchedule::square(&[1, 2, 3]).unwrap();
    let rule = gated(gates()[0], Strength::during(1, 1, 1.0));
    let passes: Vec<Passes> = (0..3).map(|k| rule.passes(k, &schedule)).collect();
    assert_eq!(passes, [Passes::CONDITIONAL, Passes::BOTH, Passes::CONDITIONAL]);
}
