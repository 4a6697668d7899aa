//! Guidance rules at the last scale of a 256-pixel VAR, for one image with 4096 codes, as the loop calls
//! them: with the previous scale already guided and the operators of priors already created.

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use nextscale::burn::tensor::{Device, Tensor, TensorData};
use nextscale::core::{Alphabet, LogitMap, Pass, PassLogits, ScaleSchedule};
use nextscale::guidance::{Cfg, Conditional, Guidance, History, Ssg};
use nextscale::priors::conformance::noise;
use nextscale::priors::{Bilinear, Dse, Prior};

const CODES: usize = 4096;

fn logits(schedule: &ScaleSchedule, k: usize) -> PassLogits {
    let grid = schedule.grid(k);
    let map = |seed| {
        let shape = [1, grid.positions(), CODES];
        let values = TensorData::new(noise(seed, shape.iter().product()), shape);
        LogitMap::new(Tensor::from_data(values, &Device::flex()), grid, Alphabet::codes(CODES))
            .expect("as many as the grid has")
    };
    [(Pass::CONDITIONAL, map(1)), (Pass::UNCONDITIONAL, map(2))].into_iter().collect()
}

fn guidance(criterion: &mut Criterion) {
    let schedule = ScaleSchedule::square(&[13, 16]).expect("two growing squares");
    let cfg: Arc<dyn Guidance> = Arc::new(Cfg::scale(1.5).expect("a scale"));
    let none: Arc<dyn Guidance> = Arc::new(Conditional);
    let dse: Arc<dyn Prior> = Arc::new(Dse::default());
    let ssg = |base: &Arc<dyn Guidance>, prior: Arc<dyn Prior>| -> Arc<dyn Guidance> {
        Arc::new(Ssg::new(Arc::clone(base), prior, 0.5).expect("a beta"))
    };
    let over_cfg = ssg(&cfg, dse.clone());
    let rules = [
        ("cfg", cfg.clone()),
        ("ssg with dse", ssg(&none, dse.clone())),
        ("ssg with bilinear", ssg(&none, Arc::new(Bilinear))),
        ("ssg with dse over cfg", over_cfg.clone()),
        ("ssg with bilinear over ssg with dse over cfg", ssg(&over_cfg, Arc::new(Bilinear))),
    ];
    let (coarse, fine) = (logits(&schedule, 0), logits(&schedule, 1));
    let mut group = criterion.benchmark_group("guidance, 16² of 4096 codes");
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(1));
    for (name, rule) in rules {
        let mut history = History::new(schedule.clone(), rule.lookback());
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|calls| {
                let mut taken = Duration::ZERO;
                for _ in 0..calls {
                    history.restart();
                    history.push(coarse.clone());
                    history.guide(&*rule).expect("both passes");
                    history.push(fine.clone());
                    let begin = Instant::now();
                    std::hint::black_box(history.guide(&*rule).expect("both passes"));
                    taken += begin.elapsed();
                }
                taken
            });
        });
    }
    group.finish();
}

criterion_group!(benches, guidance);
criterion_main!(benches);
