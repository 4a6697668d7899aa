//! The rules that nextscale itself has.

use std::sync::Arc;

use nextscale_guidance::{
    Apg, Cfg, Conditional, Extent, Gate, Gated, PriorHistory, Rescale, Ssg, Strength, Sum,
};

use super::Registry;

pub(super) fn add(registry: Registry) -> Registry {
    let registry = registry
        .with_rule("Conditional", "no guidance: the conditional logits", |_| Ok(Arc::new(Conditional)))
        .with_rule(
            "Cfg",
            "classifier-free guidance: (1 + t)·cond - t·uncond with `scale: t`, or w·cond + (1 - w)·uncond with `weight: w`",
            |settings| match (settings.take_option::<Strength>("scale")?, settings.take_option::<Strength>("weight")?) {
                (Some(t), None) => Ok(Arc::new(Cfg::scale(t)?)),
                (None, Some(w)) => Ok(Arc::new(Cfg::weight(w)?)),
                (given, _) => {
                    settings.nothing_left()?;
                    let given = if given.is_some() { "both are" } else { "neither is" };
                    let error = settings.error(format!("give `scale` or `weight`; {given} given"));
                    Err(error.with_help("w·c + (1 - w)·u with `weight: w` is `scale: t` with w = 1 + t").into())
                }
            },
        )
        .with_rule(
            "Apg",
            "adaptive projected guidance: CFG less the part of cond - uncond that is parallel to cond",
            |settings| {
                let scale: Strength = settings.take("scale")?;
                let parallel = settings.take_or("parallel", 0.0)?;
                let norm = settings.take_option("norm")?;
                let over = settings.take_or("over", Extent::default())?;
                let rule = Apg { scale, parallel, norm, over };
                rule.validate()?;
                Ok(Arc::new(rule))
            },
        )
        .with_rule(
            "Ssg",
            "scaled spatial guidance: l + beta·(l - prior(l at the scale before)), l being the base's logits",
            |settings| {
                let base = settings.rule_or("base", "Conditional")?;
                let prior = settings.prior("prior")?;
                let beta: Strength = settings.take("beta")?;
                let history = settings.take_or("history", PriorHistory::default())?;
                Ok(Arc::new(Ssg::new(base, prior, beta)?.with_history(history)))
            },
        )
        .with_rule("Sum", "corrections added up: r + the sum of (rule - r), for `base: r` and `rules: [..]`", |settings| {
            let base = settings.rule_or("base", "Conditional")?;
            Ok(Arc::new(Sum::new(base, settings.rules("rules")?)))
        })
        .with_rule(
            "Rescale",
            "guidance rescale: a rule's logits with the standard deviation of the base's",
            |settings| {
                let base = settings.rule_or("base", "Conditional")?;
                let rule = settings.rule("rule")?;
                let amount: Strength = settings.take("amount")?;
                let over = settings.take_or("over", Extent::default())?;
                Ok(Arc::new(Rescale::new(base, rule, amount, over)?))
            },
        )
        .with_rule(
            "Gated",
            "a rule only where the base's distribution is sure enough, or unsure enough",
            |settings| {
                let base = settings.rule_or("base", "Conditional")?;
                let rule = settings.rule("rule")?;
                let by: Gate = settings.take("by")?;
                let strength = settings.take_or("strength", Strength::Constant(1.0))?;
                Ok(Arc::new(Gated::new(base, rule, by, strength)?))
            },
        );
    described(registry)
}

fn described(registry: Registry) -> Registry {
    let base = ("base", "the rule whose logits are guided");
    let over = (
        "over",
        "`Image` or `Position`: whether norms and deviations are taken over all positions and channels of an image, or over \
         the channels of each position; always of logits less the mean of their choice",
    );
    registry
        .describe("Conditional", "Conditional", &[])
        .describe(
            "Cfg",
            "Cfg(scale: Ramp(1.5))",
            &[
                ("scale", "t, a strength, off at 0; VAR's form. Either this or `weight`"),
                (
                    "weight",
                    "w = 1 + t, a strength, off at 1; the form of Infinity. With `During(first, last, w)` it is guidance in \
                     a limited interval (arXiv 2404.07724), as `scale: During(first, last, t)` is",
                ),
            ],
        )
        .describe(
            "Apg",
            "Apg(scale: 3.0)",
            &[
                ("scale", "t = w - 1, a strength, off at 0"),
                ("parallel", "η, the share of the parallel part that is kept; with 1 and no `norm` the rule is CFG"),
                (
                    "norm",
                    "r, above 0: a longer cond - uncond is shortened to it; over an image its length is the root mean \
                     square of its positions' lengths",
                ),
                over,
            ],
        )
        .describe(
            "Ssg",
            "Ssg(prior: Dse(), beta: 0.5)",
            &[
                base,
                ("prior", "what the scale before predicts, one of the priors below"),
                ("beta", "β, a strength, off at 0; scale 0 is never changed"),
                ("history", "`Base` or `Guided`: whether the prior reads the base's logits or this rule's own output"),
            ],
        )
        .describe(
            "Sum",
            "Sum(rules: [Cfg(scale: 3.0), Ssg(prior: Dse(), beta: 0.5)])",
            &[("base", "the rule r that all corrections are differences to"), ("rules", "the rules to add up")],
        )
        .describe(
            "Rescale",
            "Rescale(rule: Cfg(scale: 3.0), amount: 0.7)",
            &[
                ("base", "the rule whose standard deviation is kept"),
                ("rule", "the rule whose logits are rescaled"),
                ("amount", "φ, a strength: 0 leaves the rule as it is, 1 rescales it wholly"),
                over,
            ],
        )
        .describe(
            "Gated",
            "Gated(rule: Cfg(scale: 3.0), by: Entropy(above: 0.5))",
            &[
                ("base", "the rule that stands where the gate is closed, and that is measured"),
                ("rule", "the rule that stands where the gate is open"),
                (
                    "by",
                    "`Entropy(above: a, below: b)`, as a share of the largest entropy, or `Confidence(above: a, below: b)`, \
                     the largest probability: open from a to b, which are 0 and 1 where not given",
                ),
                ("strength", "a strength, off at 0: the change by the rule is multiplied by it"),
            ],
        )
}
