//! A guidance rule of one's own, named in a config like a built-in one: classifier-free guidance that acts on each choice
//! in proportion to how much the two passes disagree there.
//! `cargo run --release --example disagreement_rule -- FOLDER` checks it and draws with it.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use nextscale::burn::tensor::activation::softmax;
use nextscale::config::Document;
use nextscale::conformance::check_rule;
use nextscale::core::{Alphabet, LogitMap, Passes, Result, ScaleSchedule};
use nextscale::guidance::{Conditional, Guidance, Step, Strength};
use nextscale::pipeline::{Config, Registry, RunOptions, Summary, run};

/// l = c + t · d · (c − u), with d = ½ Σ |p_c − p_u|, the total variation between what the two passes predict: 0 where they
/// agree, 1 where nothing is common.
#[derive(Debug)]
pub struct Disagreement {
    /// t; 0 is off.
    scale: Strength,
}

impl Guidance for Disagreement {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        let conditional = step.conditional()?;
        let t = self.scale.at(step.index(), step.schedule());
        // Decided on the host: off is the conditional logits themselves.
        if t == 0.0 {
            return Ok(conditional.clone());
        }
        let shape = conditional.values().dims();
        let [batch, positions, channels] = shape;
        let Alphabet { slots, classes } = conditional.alphabet();
        let choices = |map: &LogitMap| map.values().clone().reshape([batch, positions * slots, classes]);
        let (c, u) = (choices(conditional), choices(step.unconditional()?));
        let distance = (softmax(c.clone(), 2) - softmax(u.clone(), 2)).abs().sum_dim(2).mul_scalar(0.5);
        let guided = c.clone() + (c - u) * distance.mul_scalar(t);
        conditional.with_values(guided.reshape([batch, positions, channels]))
    }

    fn passes(&self, k: usize, schedule: &ScaleSchedule) -> Passes {
        if self.scale.at(k, schedule) == 0.0 { Passes::CONDITIONAL } else { Passes::BOTH }
    }

    fn lookback(&self) -> usize {
        0
    }

    fn check(&self, schedule: &ScaleSchedule, _: Alphabet) -> Result<()> {
        self.scale.check("scale", schedule)
    }
}

/// Everything that nextscale has, and the rule.
pub fn registry() -> Registry {
    let about = "CFG in proportion to how much the two passes disagree";
    Registry::standard().with_rule("Disagreement", about, |settings| {
        Ok(Arc::new(Disagreement { scale: settings.take("scale")? }))
    })
}

const CONFIG: &str = r#"(
    model: Shipped("cifar10"),
    condition: PerClass(1),
    variants: [
        ("cfg", Cfg(scale: 3.0)),
        ("disagreement", Disagreement(scale: Ramp(12.0))),
        ("ssg over it", Ssg(base: Disagreement(scale: Ramp(12.0)), prior: Dse(), beta: 0.5)),
    ],
    batch: 10,
)"#;

/// Checks the rule, and draws ten classes with it into `folder`.
pub fn draw(folder: &Path) -> Result<Summary, Box<dyn Error>> {
    let [rule, off] = [3.0, 0.0].map(|t| Disagreement { scale: t.into() });
    println!("{}", check_rule(&rule).off(&off, &Conditional).run().into_result()?);
    let node = Document::parse("disagreement.ron", CONFIG)?;
    let prepared = Config::from_node(&node, Path::new(""), &registry())?.prepare()?;
    Ok(run(&prepared, &RunOptions::new(folder))?)
}

fn main() -> Result<(), Box<dyn Error>> {
    nextscale::kernels::allocator::tune();
    let folder = std::env::args().nth(1).ok_or("usage: disagreement_rule FOLDER")?;
    println!("{}", draw(Path::new(&folder))?);
    Ok(())
}
