use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nextscale_core::{Alphabet, Grid, LogitMap, Passes, Result, ScaleSchedule};
pub use nextscale_guidance::conformance::{Generation, mix};
use nextscale_guidance::{
    Apg, Cfg, Conditional, Extent, Gate, Gated, Guidance, PriorHistory, Rescale, Ssg, Step, Strength, Sum,
};
use nextscale_priors::{Bicubic, Dse, Operator, Prior};
use proptest::prelude::*;

/// Channels of every test's logits.
pub const CHANNELS: usize = 3;

/// Logits of codes.
pub fn random(schedule: &ScaleSchedule, batch: usize, seed: u64) -> Generation {
    Generation::random(schedule, Alphabet::codes(CHANNELS), batch, seed)
}

/// Two to five grids, square or not, some repeated, from a side of 1 up.
pub fn schedules() -> impl Strategy<Value = ScaleSchedule> {
    (1..3_usize, 1..3_usize, prop::collection::vec((0..3_usize, 0..3_usize), 1..5)).prop_map(
        |(h, w, growth)| {
            let grids = growth.iter().scan(Grid::new(h, w), |grid, (down, right)| {
                *grid = Grid::new(grid.height + down, grid.width + right);
                Some(*grid)
            });
            ScaleSchedule::new(std::iter::once(Grid::new(h, w)).chain(grids).collect()).unwrap()
        },
    )
}

pub fn values(map: &LogitMap) -> Vec<f32> {
    map.values().clone().into_data().try_to_vec().unwrap()
}

/// Bit patterns, so that NaN equals itself and -0 is not 0.
pub fn bits(scales: &[Vec<f32>]) -> Vec<Vec<u32>> {
    scales.iter().map(|values| values.iter().map(|value| value.to_bits()).collect()).collect()
}

/// Logits in f64, each choice's less their mean.
pub fn centred(values: &[f32], alphabet: Alphabet) -> Vec<f64> {
    let row = |row: &[f32]| {
        let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / row.len() as f64;
        row.iter().map(|&v| f64::from(v) - mean).collect::<Vec<_>>()
    };
    values.chunks(alphabet.classes).flat_map(row).collect()
}

pub fn assert_near(found: &[Vec<f32>], expected: &[Vec<f32>], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (k, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= tolerance, "scale {k}: {found} instead of {expected}");
        }
    }
}

/// One of each rule that is linear, nested and not.
pub fn linear_rules() -> Vec<Arc<dyn Guidance>> {
    let conditional: Arc<dyn Guidance> = Arc::new(Conditional);
    let cfg: Arc<dyn Guidance> = Arc::new(Cfg::scale(Strength::Ramp(1.5)).unwrap());
    let ssg = |base: &Arc<dyn Guidance>, prior: Arc<dyn Prior>| {
        Ssg::new(base.clone(), prior, Strength::Linear { from: 0.75, to: 0.25 }).unwrap()
    };
    let over_cfg: Arc<dyn Guidance> = Arc::new(ssg(&cfg, Arc::new(Dse::default())));
    let alone: Arc<dyn Guidance> = Arc::new(ssg(&conditional, Arc::new(Bicubic)));
    vec![
        conditional.clone(),
        cfg.clone(),
        Arc::new(Cfg::weight(3.0).unwrap()),
        alone.clone(),
        over_cfg.clone(),
        Arc::new(ssg(&cfg, Arc::new(Dse::default())).with_history(PriorHistory::Guided)),
        Arc::new(ssg(&over_cfg, Arc::new(Bicubic))),
        Arc::new(Sum::new(conditional, vec![cfg, alone])),
    ]
}

/// Projections over each extent, with and without a limit and a parallel part.
pub fn apgs() -> Vec<Apg> {
    let apg = Apg::new(Strength::Linear { from: 2.0, to: 3.5 }).unwrap();
    vec![
        apg.clone(),
        Apg { over: Extent::Position, parallel: 0.5, ..apg.clone() },
        Apg { norm: Some(1.5), ..apg.clone() },
        Apg { over: Extent::Position, norm: Some(2.0), parallel: -0.25, ..apg },
    ]
}

/// Gates that are open here and closed there.
pub fn gates() -> [Gate; 4] {
    [
        Gate::Entropy { above: 0.6, below: 1.0 },
        Gate::Entropy { above: 0.0, below: 0.7 },
        Gate::Confidence { above: 0.0, below: 0.6 },
        Gate::Confidence { above: 0.55, below: 0.9 },
    ]
}

/// One of each rule, nested and not.
pub fn rules() -> Vec<Arc<dyn Guidance>> {
    let mut rules = linear_rules();
    let base: Arc<dyn Guidance> = Arc::new(Conditional);
    let guided: Arc<dyn Guidance> = Arc::new(
        Ssg::new(rules[1].clone(), Arc::new(Dse::default()), 0.5).unwrap().with_history(PriorHistory::Guided),
    );
    for over in [Extent::Image, Extent::Position] {
        rules.push(Arc::new(Rescale::new(base.clone(), guided.clone(), 0.7, over).unwrap()));
    }
    rules.extend(apgs().into_iter().map(|rule| Arc::new(rule) as Arc<dyn Guidance>));
    for gate in gates() {
        rules.push(Arc::new(Gated::new(base.clone(), guided.clone(), gate, Strength::Ramp(1.0)).unwrap()));
    }
    let apg: Arc<dyn Guidance> = Arc::new(Apg::new(3.0).unwrap());
    rules.push(Arc::new(Ssg::new(apg, Arc::new(Dse::default()), 0.5).unwrap()));
    rules
}

/// A rule that counts how often it is computed.
#[derive(Debug)]
pub struct Counting {
    pub rule: Arc<dyn Guidance>,
    pub calls: AtomicUsize,
}

impl Counting {
    pub fn new(rule: impl Guidance) -> Arc<Self> {
        Arc::new(Self { rule: Arc::new(rule), calls: AtomicUsize::new(0) })
    }

    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Guidance for Counting {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        step.evaluate(&*self.rule)
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        self.rule.passes(k, schedule)
    }

    fn lookback(&self) -> usize {
        self.rule.lookback()
    }
}

/// A prior that counts how often its operator is made.
#[derive(Debug, Default)]
pub struct CountingPrior {
    pub made: AtomicUsize,
}

impl Prior for CountingPrior {
    fn operator(&self, from: Grid, to: Grid) -> Result<Operator> {
        self.made.fetch_add(1, Ordering::Relaxed);
        Dse::default().operator(from, to)
    }
}
