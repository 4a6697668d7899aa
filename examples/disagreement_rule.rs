//! Your own guidance rule in your own program, which has every command of nextscale and the rule in its
//! configs: `cargo run --release --example disagreement_rule -- generate examples/disagreement.ron` generates
//! images with it, `-- ablate examples/disagreement-ablation.ron` compares it with CFG, `-- list` lists it.

use std::process::ExitCode;
use std::sync::Arc;

use nextscale::burn::tensor::activation::softmax;
use nextscale::conformance::RuleClaims;
use nextscale::core::{Alphabet, LogitMap, Passes, Result, ScaleSchedule};
use nextscale::guidance::{Conditional, Guidance, Step, Strength};
use nextscale::pipeline::Registry;
use nextscale::settings::Settings;

/// CFG in proportion to how much the two passes disagree at each choice.
///
/// l = c + t · d · (c − u), with d = ½ Σ |p_c − p_u|, the total variation distance between the two passes'
/// predictions: 0 if they agree, 1 if they have nothing in common.
#[derive(Debug, Clone, Settings)]
#[setting(example = "Disagreement(scale: 3.0)")]
pub struct Disagreement {
    /// t, a strength, off at 0.
    scale: Strength,
}

impl Guidance for Disagreement {
    fn guide(&self, step: &Step<'_>) -> Result<LogitMap> {
        let conditional = step.conditional()?;
        let t = self.scale.at(step.index(), step.schedule());
        // Decided on the host: when off, the result is the conditional logits themselves.
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

    /// For the conformance kit: with a strength of zero there is no guidance.
    fn claims(&self) -> RuleClaims {
        RuleClaims::none().off(Arc::new(Self { scale: 0.0.into() }), Arc::new(Conditional))
    }
}

/// Everything in nextscale, plus the rule.
pub fn registry() -> Registry {
    Registry::standard().with_rule::<Disagreement>()
}

fn main() -> ExitCode {
    nextscale::cli::main(registry())
}
