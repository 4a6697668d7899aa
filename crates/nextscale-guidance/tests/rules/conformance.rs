use std::sync::Arc;

use nextscale_core::{Alphabet, LogitMap, Passes, Replacement, Result, ScaleSchedule};
use nextscale_guidance::conformance::{Outcome, check_rule};
use nextscale_guidance::{
    Apg, Autoguidance, Cfg, CfgZeroStar, Conditional, Extent, FrequencyCfg, Gated, Guidance, MagnitudeCfg,
    PerturbedAttention, PriorHistory, Rescale, SkipLayers, Ssg, Step, Strength, Sum, Tcfg, Vpg,
};
use nextscale_priors::{Bicubic, Dse, Marginal, Nearest};

use super::support::{apgs, gates};

fn arc(rule: impl Guidance) -> Arc<dyn Guidance> {
    Arc::new(rule)
}

fn cfg(t: f64) -> Arc<dyn Guidance> {
    arc(Cfg::scale(t).unwrap())
}

fn conforms(rule: &dyn Guidance, off: &dyn Guidance, base: &dyn Guidance) {
    check_rule(rule).off(off, base).run().into_result().unwrap();
}

#[test]
fn rules_that_are_linear_conform_and_keep_channels_apart() {
    let linear = |rule: &dyn Guidance, off: &dyn Guidance, base: &dyn Guidance| {
        let report = check_rule(rule).off(off, base).linear().channelwise().run().into_result().unwrap();
        assert!(report.checks().iter().all(|check| check.outcome == Outcome::Passed), "{report}");
    };
    linear(&Conditional, &Conditional, &Conditional);
    linear(&*cfg(3.0), &*cfg(0.0), &Conditional);
    linear(&Cfg::weight(Strength::Ramp(4.0)).unwrap(), &Cfg::weight(1.0).unwrap(), &Conditional);
    for history in [PriorHistory::Base, PriorHistory::Guided] {
        let ssg = |beta: Strength| {
            Ssg::new(cfg(1.5), Arc::new(Dse::default()), beta).unwrap().with_history(history)
        };
        linear(&ssg(Strength::Linear { from: 1.0, to: 0.25 }), &ssg(0.0.into()), &*cfg(1.5));
    }
    let sum = |t: f64| Sum::new(arc(Conditional), vec![cfg(t)]);
    linear(&sum(2.0), &sum(0.0), &Conditional);
}

#[test]
fn rescaled_rules_conform() {
    for over in [Extent::Image, Extent::Position] {
        let rescale = |amount: f64| {
            let ssg = Ssg::new(cfg(2.0), Arc::new(Nearest), 0.5).unwrap();
            Rescale::new(arc(Conditional), arc(ssg), amount, over).unwrap()
        };
        conforms(&rescale(0.7), &rescale(0.0), &Ssg::new(cfg(2.0), Arc::new(Nearest), 0.5).unwrap());
    }
}

#[test]
fn projected_rules_conform() {
    for rule in apgs() {
        conforms(&rule, &Apg { scale: 0.0.into(), ..rule.clone() }, &Conditional);
    }
}

#[test]
fn rules_that_are_cfg_with_other_factors_conform() {
    for over in [Extent::Image, Extent::Position] {
        let zero = |t: f64| CfgZeroStar { over, ..CfgZeroStar::new(t).unwrap() };
        conforms(&zero(2.0), &zero(0.0), &Conditional);
        let tangent = |t: f64| Tcfg { over, ..Tcfg::new(t).unwrap() };
        conforms(&tangent(2.0), &tangent(0.0), &Conditional);
        let magnitude = |t: f64| MagnitudeCfg { over, ..MagnitudeCfg::new(t, 0.5).unwrap() };
        conforms(&magnitude(2.0), &magnitude(0.0), &Conditional);
    }
    let bands = |t: f64| FrequencyCfg::new(t, &[0.5, 1.0, 1.5]).unwrap();
    let report = check_rule(&bands(2.0)).off(&bands(0.0), &Conditional).run().into_result().unwrap();
    assert!(report.checks().iter().all(|check| check.outcome == Outcome::Passed), "{report}");
}

#[test]
fn rules_that_lead_away_from_a_worse_prediction_conform() {
    let apg = || arc(Apg::new(2.0).unwrap());
    for base in [cfg(1.5), apg()] {
        let vpg = |weight: f64| Vpg::new(base.clone(), 0.5, Replacement::default(), weight).unwrap();
        conforms(&vpg(1.0), &vpg(0.0), &*base);
        let auto = |weight: f64| Autoguidance::new(base.clone(), "weak", weight).unwrap();
        conforms(&auto(1.0), &auto(0.0), &*base);
        let skip = |weight: f64| SkipLayers::new(base.clone(), &[2], weight).unwrap();
        conforms(&skip(1.0), &skip(0.0), &*base);
        let own = |weight: f64| PerturbedAttention::new(base.clone(), &[2], weight).unwrap();
        conforms(&own(1.0), &own(0.0), &*base);
    }
    // Their claims follow their base's.
    let claims = |base| Vpg::new(base, 0.5, Replacement::default(), 1.0).unwrap().claims();
    assert!(claims(cfg(1.0)).is_linear() && !claims(apg()).is_linear());
}

#[test]
fn gated_rules_conform() {
    for gate in gates() {
        for strength in [1.0, 0.5] {
            let gated = |strength: f64| {
                let ssg = Ssg::new(cfg(2.0), Arc::new(Bicubic), 0.5).unwrap();
                Gated::new(cfg(1.0), arc(ssg), gate, strength).unwrap()
            };
            conforms(&gated(strength), &gated(0.0), &*cfg(1.0));
        }
    }
}

#[test]
fn ssg_with_a_measured_prior_conforms_where_it_was_measured() {
    let schedule = ScaleSchedule::square(&[1, 2, 4]).unwrap();
    let averages = schedule.grids()[..2].iter().map(|&grid| (grid, vec![0.5, -1.0, 0.25]));
    let prior = Arc::new(Marginal::new(averages).unwrap());
    let ssg = |beta: f64| Ssg::new(arc(Conditional), prior.clone(), beta).unwrap();
    let (rule, off) = (ssg(0.5), ssg(0.0));
    let kit = check_rule(&rule).off(&off, &Conditional);
    let kit = kit.schedules([schedule]).alphabets([Alphabet::codes(3)]).channelwise();
    kit.run().into_result().unwrap();
    let told = check_rule(&rule).run().into_result().unwrap_err().to_string();
    assert!(told.contains("3 channels and the model's logits 5"), "{told}");
}

/// Rules with one fault each.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wrong {
    MixesImages,
    MixesChannels,
    IsNotLinear,
    SeesOffsets,
    AsksForTooLittle,
    IsNotOff,
    Divides,
}

impl Guidance for Wrong {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        let map = step.conditional()?;
        let l = map.values().clone();
        map.with_values(match self {
            Self::MixesImages => l.clone() - l.mean_dim(0),
            Self::MixesChannels => l.clone() - l.mean_dim(2),
            Self::IsNotLinear => l.clone() - l.mean_dim(2).mean_dim(1).abs(),
            Self::SeesOffsets => l.clone() * l.mean_dim(2).abs(),
            Self::AsksForTooLittle => step.unconditional()?.values().clone(),
            Self::IsNotOff => l.add_scalar(1e-6),
            Self::Divides => l.clone() / (l.clone() - l),
        })
    }

    fn passes(&self, _: usize, _: &ScaleSchedule) -> Passes {
        Passes::CONDITIONAL
    }

    fn lookback(&self) -> usize {
        0
    }
}

#[test]
fn what_is_wrong_with_a_rule_is_found() {
    let failed = |rule: Wrong| -> Vec<&'static str> {
        let kit = check_rule(&rule).linear().channelwise();
        let kit = if rule == Wrong::IsNotOff { kit.off(&rule, &Conditional) } else { kit };
        let report = kit.run();
        let failed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_));
        report.checks().iter().filter(|check| failed(&check.outcome)).map(|check| check.name).collect()
    };
    let batch = "an image is the same to the bit in every batch";
    let (linear, channels) = ("linear", "channels do not mix");
    let offsets = "a number added to all logits of a choice changes no probability";
    let finite = "every scale has finite logits on its grid, from the passes and the history asked for";
    let mixes = failed(Wrong::MixesImages);
    assert!(mixes.contains(&batch) && mixes.contains(&"images do not mix"), "{mixes:?}");
    assert_eq!(failed(Wrong::MixesChannels), [channels]);
    assert_eq!(failed(Wrong::IsNotLinear), [linear, channels]);
    assert_eq!(failed(Wrong::SeesOffsets), [offsets, linear, channels]);
    assert!(failed(Wrong::AsksForTooLittle).contains(&finite));
    assert_eq!(failed(Wrong::IsNotOff)[0], "a strength of zero is the base to the bit");
    assert!(failed(Wrong::Divides).contains(&finite));
}
