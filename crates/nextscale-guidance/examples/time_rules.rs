//! Seconds of every rule at the last scale of a 256-pixel VAR: 8 images, 16 × 16 positions, 4096 codes.
//! `cargo run --release -p nextscale-guidance --example time_rules`.

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

const BATCH: usize = 8;
const CODES: usize = 4096;

fn map(grid: Grid, seed: u64) -> Result<LogitMap> {
    let shape = [BATCH, grid.positions(), CODES];
    let values = TensorData::new(noise(seed, shape.iter().product()), shape);
    LogitMap::new(Tensor::from_data(values, &Device::flex()), grid, Alphabet::codes(CODES))
}

fn main() -> Result<()> {
    let schedule = ScaleSchedule::square(&[13, 16])?;
    let cfg: Arc<dyn Guidance> = Arc::new(Cfg::scale(1.5)?);
    let base: Arc<dyn Guidance> = Arc::new(Conditional);
    let gate = Gate::Entropy { above: 0.5, below: 1.0 };
    let sure = Gate::Confidence { above: 0.0, below: 0.5 };
    let rules: [(&str, Arc<dyn Guidance>); 11] = [
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
    let logits = |k: usize| -> Result<PassLogits> {
        let (conditional, unconditional) = (map(schedule.grid(k), 1)?, map(schedule.grid(k), 2)?);
        Ok([(Pass::CONDITIONAL, conditional), (Pass::UNCONDITIONAL, unconditional)].into_iter().collect())
    };
    let (coarse, fine) = (logits(0)?, logits(1)?);
    for (name, rule) in rules {
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            let mut history = History::new(schedule.clone(), rule.lookback());
            history.push(coarse.clone());
            history.guide(&*rule)?;
            history.push(fine.clone());
            let begin = Instant::now();
            let guided = history.guide(&*rule)?;
            // Reading one value back waits for the device.
            let _: f32 = guided.into_values().slice([0..1, 0..1, 0..1]).into_scalar();
            best = best.min(begin.elapsed().as_secs_f64());
        }
        println!("{name:24} {best:.3} s");
    }
    Ok(())
}
