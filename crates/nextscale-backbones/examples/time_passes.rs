//! Processor time of a VAR-d16 pass on another prefix, in a separate session that shares constants,
//! compared with the conditional pass; one image of 128 pixels, random weights. On Linux, which
//! counts processor time in /proc. `cargo run --release -p nextscale-backbones --example
//! time_passes`.

use burn::tensor::{Device, Tensor};
use nextscale_backbones::var::{Initialisation, VarConfig};
use nextscale_backbones::{Backbone, Session, prepare};
use nextscale_core::{Condition, Dtype, PassPlan, Passes, Result, ScaleSchedule};

const RUNS: usize = 4;

/// Seconds of processor time of this process, on all its threads.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().filter_map(|&at| fields.get(at)?.parse::<f64>().ok()).sum();
    ticks / 100.0
}

fn run(mut session: Box<dyn Session + '_>, backbone: &dyn Backbone) -> Result<()> {
    for (k, grid) in backbone.schedule().grids().iter().enumerate() {
        let shape = [1, grid.positions(), backbone.input_channels()];
        session.step((k > 0).then(|| Tensor::zeros(shape, &backbone.device())))?;
    }
    Ok(())
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let schedule = ScaleSchedule::square(&[1, 2, 3, 4, 5, 6, 8])?;
    let config = VarConfig::new(16, schedule.clone());
    let model = config.init_to_generate(&Initialisation::default(), &Device::flex(), Dtype::F32)?;
    let plan = PassPlan::new(vec![Passes::CONDITIONAL; schedule.len()], &schedule)?;
    let conditions = prepare(&model.conditioner(), &[Condition::Class(207)], &plan)?;
    run(model.start(&conditions, &plan)?, &model)?;
    let (mut own, mut beside) = (0.0, 0.0);
    for _ in 0..RUNS {
        let begin = processor();
        run(model.start(&conditions, &plan)?, &model)?;
        let between = processor();
        own += between - begin;
        // The shared constants were computed for the first.
        let constants = model.constants(&conditions)?;
        let begin = processor();
        run(model.start_with(&constants, &conditions, &plan)?, &model)?;
        beside += processor() - begin;
    }
    let [own, beside] = [own, beside].map(|seconds| seconds / RUNS as f64);
    println!("conditional {own:.2} s, on another prefix {beside:.2} s: {:.3} times", beside / own);
    Ok(())
}
