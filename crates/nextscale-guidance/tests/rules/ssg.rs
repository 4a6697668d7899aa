use std::sync::Arc;

use nextscale_core::{Alphabet, Grid, ScaleSchedule};
use nextscale_guidance::{Cfg, Conditional, Guidance, History, PriorHistory, Ssg, Strength, Sum};
use nextscale_priors::{Dse, Interpolation, Nearest};
use proptest::prelude::*;
use rustdct::DctPlanner;

use super::support::{CHANNELS, assert_near, random, schedules, values};

/// DCT-II (or its inverse) of both axes, orthonormal, by rustdct.
fn transform(map: &mut [f64], grid: Grid, inverse: bool) {
    let mut planner = DctPlanner::new();
    let mut line_of = |n: usize| {
        let plan = planner.plan_dct2(n);
        move |line: &mut [f64]| {
            let (first, rest) = ((1.0 / n as f64).sqrt(), (2.0 / n as f64).sqrt());
            let scale = |line: &mut [f64], first: f64| {
                line.iter_mut().enumerate().for_each(|(k, v)| *v *= if k == 0 { first } else { rest });
            };
            if inverse {
                // rustdct's DCT-III already halves the constant.
                scale(line, 2.0 * first);
                plan.process_dct3(line);
            } else {
                plan.process_dct2(line);
                scale(line, first);
            }
        }
    };
    let (row, column) = (line_of(grid.width), line_of(grid.height));
    map.chunks_mut(grid.width).for_each(row);
    for at in 0..grid.width {
        let mut line: Vec<f64> = map.iter().skip(at).step_by(grid.width).copied().collect();
        column(&mut line);
        line.iter().enumerate().for_each(|(i, &value)| map[i * grid.width + at] = value);
    }
}

/// DSE of nearest interpolation with `Amplitude`, step by step as the paper defines it.
fn dse(coarse: &[f32], from: Grid, to: Grid, channels: usize) -> Vec<f32> {
    let mut out = vec![0.0; coarse.len() / from.positions() * to.positions()];
    let images = coarse.len() / (from.positions() * channels);
    for (image, channel) in (0..images).flat_map(|image| (0..channels).map(move |channel| (image, channel))) {
        let at = |grid: Grid, position: usize| (image * grid.positions() + position) * channels + channel;
        let mut x: Vec<f64> = (0..from.positions()).map(|p| f64::from(coarse[at(from, p)])).collect();
        let nearest = |p: usize| {
            let (row, column) =
                (p / to.width * from.height / to.height, p % to.width * from.width / to.width);
            x[row * from.width + column]
        };
        let mut u: Vec<f64> = (0..to.positions()).map(nearest).collect();
        transform(&mut u, to, false);
        transform(&mut x, from, false);
        let s = (to.positions() as f64 / from.positions() as f64).sqrt();
        for (p, value) in x.iter().enumerate() {
            u[p / from.width * to.width + p % from.width] = s * value;
        }
        transform(&mut u, to, true);
        u.iter().enumerate().for_each(|(p, &value)| out[at(to, p)] = value as f32);
    }
    out
}

fn prior() -> Arc<Dse> {
    Arc::new(Dse { interpolation: Interpolation::Nearest, ..Dse::default() })
}

const BETA: Strength = Strength::Linear { from: 0.2, to: 0.9 };

/// The base's logits guided by a loop written out by hand.
fn by_hand(base: &[Vec<f32>], schedule: &ScaleSchedule, guided_history: bool) -> Vec<Vec<f32>> {
    let mut out: Vec<Vec<f32>> = vec![base[0].clone()];
    for k in 1..schedule.len() {
        let earlier = if guided_history { &out[k - 1] } else { &base[k - 1] };
        let prior = dse(earlier, schedule.grid(k - 1), schedule.grid(k), CHANNELS);
        let beta = BETA.at(k, schedule) as f32;
        out.push(base[k].iter().zip(prior).map(|(l, p)| l + beta * (l - p)).collect());
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn ssg_with_dse_is_the_direct_definition(schedule in schedules(), seed: u64) {
        let x = random(&schedule, 2, seed);
        let ssg = Ssg::new(Arc::new(Conditional), prior(), BETA).unwrap();
        assert_near(&x.guided(&ssg).unwrap(), &by_hand(&x.conditional, &schedule, false), 1e-4);
    }

    #[test]
    fn a_guided_history_feeds_the_prior_with_the_rule_s_own_output(schedule in schedules(), seed: u64) {
        let x = random(&schedule, 2, seed);
        let ssg = Ssg::new(Arc::new(Conditional), prior(), BETA).unwrap().with_history(PriorHistory::Guided);
        assert_near(&x.guided(&ssg).unwrap(), &by_hand(&x.conditional, &schedule, true), 3e-4);
    }

    #[test]
    fn over_cfg_the_prior_reads_cfg_with_the_strength_of_the_scale_before(schedule in schedules(), seed: u64) {
        let x = random(&schedule, 2, seed);
        let cfg: Arc<dyn Guidance> = Arc::new(Cfg::scale(Strength::Ramp(1.5)).unwrap());
        let base = x.guided(&*cfg).unwrap();
        let ssg = Ssg::new(cfg, prior(), BETA).unwrap();
        assert_near(&x.guided(&ssg).unwrap(), &by_hand(&base, &schedule, false), 5e-4);
    }
}

#[test]
fn the_trace_sees_the_outermost_prior_where_it_has_a_say() {
    let schedule = ScaleSchedule::square(&[1, 2, 3, 4]).unwrap();
    let x = random(&schedule, 2, 5);
    let inner = Ssg::new(Arc::new(Conditional), Arc::new(Nearest), 1.0).unwrap();
    let outer = Ssg::new(Arc::new(inner.clone()), prior(), Strength::during(1, 2, 0.5)).unwrap();
    let inside =
        Sum::new(Arc::new(Conditional), vec![Arc::new(Cfg::scale(1.0).unwrap()), Arc::new(outer.clone())]);
    let base = x.guided(&inner).unwrap();
    for rule in [&outer as &dyn Guidance, &inside] {
        let mut history = History::new(schedule.clone(), rule.lookback());
        for k in 0..4 {
            history.push(x.logits(k, &rule.passes(k, &schedule)).unwrap());
            history.guide(rule).unwrap();
            let found = history.prior_of(rule).unwrap().map(|prior| values(&prior));
            assert_eq!(found.is_some(), k == 1 || k == 2, "scale {k}");
            if let Some(found) = found {
                let expected = dse(&base[k - 1], schedule.grid(k - 1), schedule.grid(k), CHANNELS);
                assert_near(&[found], &[expected], 1e-4);
            }
        }
    }
}

#[test]
fn a_beta_that_does_not_fit_is_refused_by_name() {
    let schedule = ScaleSchedule::square(&[1, 2]).unwrap();
    assert!(
        Ssg::new(Arc::new(Conditional), prior(), f64::NAN).unwrap_err().to_string().starts_with("beta: ")
    );
    let ssg = Ssg::new(Arc::new(Conditional), prior(), Strength::List(vec![1.0; 3])).unwrap();
    assert!(ssg.check(&schedule, Alphabet::codes(CHANNELS)).unwrap_err().to_string().starts_with("beta: "));
    let nested = Sum::new(Arc::new(Conditional), vec![Arc::new(ssg)]);
    assert!(
        nested.check(&schedule, Alphabet::codes(CHANNELS)).unwrap_err().to_string().starts_with("beta: ")
    );
}
