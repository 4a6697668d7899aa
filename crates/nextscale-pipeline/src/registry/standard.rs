use std::sync::Arc;

use nextscale_families::{HartFamily, InfinityFamily, ModelSource, Shipped, VarFamily};
use nextscale_guidance::{
    Apg, Autoguidance, Cfg, CfgInside, CfgZeroStar, Conditional, FrequencyCfg, Gated, MagnitudeCfg,
    PerturbedAttention, Rescale, SkipLayers, Ssg, Sum, Tcfg, Vpg,
};
use nextscale_priors::{Bicubic, Bilinear, Dse, Marginal, Mean, Nearest, Zero};

use super::{Entry, Hub, Registry};
use nextscale_generate::sampler::{Argmax, BitTemperature, EntropyTemperature, MinP, TopKTopP};

impl Registry {
    /// Everything that nextscale itself provides.
    pub fn standard() -> Self {
        Self::new()
            .with_rule::<Conditional>()
            .with_rule::<Cfg>()
            .with_rule::<CfgInside>()
            .with_rule::<Apg>()
            .with_rule::<CfgZeroStar>()
            .with_rule::<Tcfg>()
            .with_rule::<MagnitudeCfg>()
            .with_rule::<FrequencyCfg>()
            .with_rule::<Ssg>()
            .with_rule::<Vpg>()
            .with_rule::<Autoguidance>()
            .with_rule::<SkipLayers>()
            .with_rule::<PerturbedAttention>()
            .with_rule::<Sum>()
            .with_rule::<Rescale>()
            .with_rule::<Gated>()
            .with_prior::<Dse>()
            .with_prior::<Nearest>()
            .with_prior::<Bilinear>()
            .with_prior::<Bicubic>()
            .with_prior::<Mean>()
            .with_prior::<Zero>()
            .with_prior::<Marginal>()
            .with_sampler::<TopKTopP>()
            .with_sampler::<MinP>()
            .with_sampler::<EntropyTemperature>()
            .with_sampler::<BitTemperature>()
            .with_sampler::<Argmax>()
            .with_family(VarFamily)
            .with_family(InfinityFamily)
            .with_family(HartFamily)
            .with(Entry::of(|model: Hub| Arc::new(model) as Arc<dyn ModelSource>))
            .with(Entry::of(|model: Shipped| Arc::new(model) as Arc<dyn ModelSource>))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nextscale_config::Document;

    fn rule(text: &str) -> crate::Result<String> {
        let node = Document::parse("run.ron", text)?;
        let built = Registry::standard().rule(&node)?;
        // The resolved config builds the same rule again.
        let again =
            Registry::standard().rule(&Document::parse("again.ron", &built.resolved.to_ron_string())?)?;
        assert_eq!(format!("{:?}", again.value), format!("{:?}", built.value));
        assert_eq!(again.resolved, built.resolved);
        Ok(built.resolved.to_ron_string())
    }

    #[test]
    fn defaults_are_written_out() {
        insta::assert_snapshot!(rule("Rescale(rule: Apg(scale: 3, norm: 2), amount: 0.7)").unwrap());
        insta::assert_snapshot!(rule("Gated(rule: Apg(scale: 3), by: Confidence(below: 0.9))").unwrap());
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
            "Apg(scale: 1, norm: -1)",
            "Apg(scale: 1, over: Grid)",
            "Gated(rule: Conditional, by: Entropy(above: 2))",
            "Gated(rule: Conditional, by: Doubt(above: 0.5))",
            "Rescale(rule: Cfg(scale: 1))",
            "Ssg(prior: Marginal(), beta: 1)",
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
