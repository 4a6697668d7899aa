use std::sync::Arc;

use nextscale_guidance::{Cfg, Conditional, PriorHistory, Ssg, Strength, Sum};
use nextscale_priors::{Bicubic, Bilinear, Dse, Mean, Nearest, Zero};

use super::Registry;
use crate::sampler::{Argmax, TopKTopP};

impl Registry {
    /// Everything that nextscale itself has.
    pub fn standard() -> Self {
        Self::new()
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
            .with_prior("Dse", "discrete spatial enhancement: interpolation with the coarse spectrum in the low band", |settings| {
                let dse: Dse = settings.all()?;
                dse.check()?;
                Ok(Arc::new(dse))
            })
            .with_prior("Nearest", "nearest-neighbour interpolation", |_| Ok(Arc::new(Nearest)))
            .with_prior("Bilinear", "bilinear interpolation", |_| Ok(Arc::new(Bilinear)))
            .with_prior("Bicubic", "bicubic interpolation, A = -0.75", |_| Ok(Arc::new(Bicubic)))
            .with_prior("Mean", "control: each channel's mean over the coarse grid", |_| Ok(Arc::new(Mean)))
            .with_prior("Zero", "control: nothing", |_| Ok(Arc::new(Zero)))
            .with_sampler("TopKTopP", "temperature, then top-k, then top-p, then a draw; 0 switches a filter off", |settings| {
                Ok(Arc::new(settings.all::<TopKTopP>()?))
            })
            .with_sampler("Argmax", "the most likely class, without randomness", |_| Ok(Arc::new(Argmax)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nextscale_config::Document;

    fn rule(text: &str) -> crate::Result<String> {
        let node = Document::parse("run.ron", text)?;
        let built = Registry::standard().rule(&node)?;
        // What is written down builds the same rule again.
        let again =
            Registry::standard().rule(&Document::parse("again.ron", &built.resolved.to_ron_string())?)?;
        assert_eq!(format!("{:?}", again.value), format!("{:?}", built.value));
        assert_eq!(again.resolved, built.resolved);
        Ok(built.resolved.to_ron_string())
    }

    #[test]
    fn defaults_are_written_out() {
        insta::assert_snapshot!(rule("Ssg(prior: Dse(), beta: 0.5)").unwrap());
        insta::assert_snapshot!(
            rule("Sum(base: Cfg(scale: Ramp(1.5)), rules: [Ssg(prior: Zero, beta: During(1, 2, 0.3)), Conditional])").unwrap()
        );
    }

    #[test]
    fn mistakes_are_told_with_place_and_remedy() {
        let mistakes = [
            "Sgs(beta: 1)",
            "Ssg(base: Cfg(scale: 1), prior: Dsee(), beta: 1)",
            "Ssg(base: Cfg(scale: 1), prior: Dse(), betta: 1)",
            "Ssg(prior: Dse(interpolation: Cubic), beta: 1)",
            "Ssg(prior: Dse(fraction: 2), beta: 1)",
            "Ssg(prior: Dse(), beta: \"strong\")",
            "Ssg(prior: Dse(), beta: List([]))",
            "Cfg(scale: 1, weight: 2)",
            "Sum(rules: Conditional)",
            "3",
        ];
        let told: Vec<String> = mistakes
            .iter()
            .map(|text| {
                let crate::Error::Config(error) = rule(text).unwrap_err() else { panic!("{text}: no place") };
                let place = error.location().map_or(0, |(_, _, column)| column);
                format!("{text}\n  column {place}: {error}\n  {}", error.help_text().unwrap_or("-"))
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn samplers_have_their_defaults() {
        let node = Document::parse("run.ron", "TopKTopP(top_k: 900)").unwrap();
        insta::assert_snapshot!(Registry::standard().sampler(&node).unwrap().resolved.to_ron_string());
    }
}
