//! Milliseconds of every rule over all scales of one 256-pixel image of VAR, 4096 codes.
//! `cargo run --release -p nextscale-guidance --example time_rules`; with a name, as in `time_rules Cfg`, of one rule by
//! itself, whose inputs then stay in the processor's cache.

use std::sync::Arc;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use nextscale_core::{Alphabet, Grid, LogitMap, Pass, PassLogits, Result, ScaleSchedule};
use nextscale_guidance::{
    Apg, Cfg, CfgZeroStar, Conditional, Extent, FrequencyCfg, Gate, Gated, Guidance, History, MagnitudeCfg,
    Rescale, Ssg, Tcfg,
};
use nextscale_priors::Dse;
use nextscale_priors::conformance::noise;

const SIDES: [usize; 10] = [1, 2, 3, 4, 5, 6, 8, 10, 13, 16];
const TURNS: usize = 100;
const CODES: usize = 4096;

fn map(grid: Grid, seed: u64) -> Result<LogitMap> {
    let shape = [1, grid.positions(), CODES];
    let values = TensorData::new(noise(seed, shape.iter().product()), shape);
    LogitMap::new(Tensor::from_data(values, &Device::flex()), grid, Alphabet::codes(CODES))
}

fn main() -> Result<()> {
    // As the program does; otherwise every result is in fresh pages.
    nextscale_kernels::allocator::tune();
    let schedule = ScaleSchedule::square(&SIDES)?;
    let cfg: Arc<dyn Guidance> = Arc::new(Cfg::scale(1.5)?);
    let base: Arc<dyn Guidance> = Arc::new(Conditional);
    let gate = Gate::Entropy { above: 0.5, below: 1.0 };
    let sure = Gate::Confidence { above: 0.0, below: 0.5 };
    let only = std::env::args().nth(1);
    let all: [(&str, Arc<dyn Guidance>); 11] = [
        ("Cfg", cfg.clone()),
        ("Ssg with Dse", Arc::new(Ssg::new(base.clone(), Arc::new(Dse::default()), 0.5)?)),
        ("Apg over the image", Arc::new(Apg { norm: Some(5.0), ..Apg::new(1.5)? })),
        ("Apg over positions", Arc::new(Apg { over: Extent::Position, ..Apg::new(1.5)? })),
        ("CfgZeroStar", Arc::new(CfgZeroStar::new(1.5)?)),
        ("Tcfg", Arc::new(Tcfg::new(1.5)?)),
        ("MagnitudeCfg", Arc::new(MagnitudeCfg::new(1.5, 0.5)?)),
        ("FrequencyCfg, two bands", Arc::new(FrequencyCfg::new(1.5, &[0.5, 1.0])?)),
        ("Rescale of Cfg", Arc::new(Rescale::new(base.clone(), cfg.clone(), 0.7, Extent::Image)?)),
        ("Cfg gated by entropy", Arc::new(Gated::new(base.clone(), cfg.clone(), gate, 1.0)?)),
        ("Cfg gated by confidence", Arc::new(Gated::new(base, cfg, sure, 1.0)?)),
    ];
    let rules: Vec<_> =
        all.into_iter().filter(|(name, _)| only.as_deref().is_none_or(|only| only == *name)).collect();
    let logits = |k: usize| -> Result<PassLogits> {
        let (conditional, unconditional) = (map(schedule.grid(k), 1)?, map(schedule.grid(k), 2)?);
        Ok([(Pass::CONDITIONAL, conditional), (Pass::UNCONDITIONAL, unconditional)].into_iter().collect())
    };
    let scales = (0..schedule.len()).map(logits).collect::<Result<Vec<_>>>()?;
    let mut best = vec![vec![f64::INFINITY; scales.len()]; rules.len()];
    let mut histories: Vec<History> =
        rules.iter().map(|(_, rule)| History::new(schedule.clone(), rule.lookback())).collect();
    // In turns, so that other load on the machine falls on all of them; the least of every scale counts.
    for _ in 0..TURNS {
        for ((history, (_, rule)), best) in histories.iter_mut().zip(&rules).zip(&mut best) {
            history.restart();
            for (logits, best) in scales.iter().zip(best) {
                history.push(logits.clone());
                let begin = Instant::now();
                let guided = history.guide(&**rule)?;
                // Reading one value back waits for the device.
                let _: f32 = guided.into_values().slice([0..1, 0..1, 0..1]).into_scalar();
                *best = best.min(begin.elapsed().as_secs_f64());
            }
        }
    }
    for ((name, _), best) in rules.iter().zip(&best) {
        println!(
            "{name:24} {:8.2} ms, at the last scale {:.2}",
            1e3 * best.iter().sum::<f64>(),
            1e3 * best[scales.len() - 1]
        );
    }
    Ok(())
}
