//! `--set PATH=VALUE`, for every command that reads a config.

use crate::config::Node;

use super::Failure;

// What `--set` can be given where the file is not a run's config, whose help is below.
pub const OF_AN_ABLATION: &str =
    "Change a value of the file, like samples=200 or 'base.guidance=Cfg(scale: 2.0)'";
pub const OF_A_CARD: &str = "Change a value of the card, like run.batch=4 or 'run.guidance=Cfg(scale: 2.0)'";
pub const OF_A_TRAINING: &str = "Change a value of the config, like steps=1000 or 'data=Cifar10(\"DIR\")'";

/// Changes to the config.
#[derive(Debug, clap::Args)]
pub struct Overrides {
    /// Change a value of the config, like guidance.beta=0.4 or 'guidance.prior=Dse(low_band: Verbatim)'
    #[arg(long = "set", value_name = "PATH=VALUE")]
    set: Vec<String>,
}

impl Overrides {
    /// As they were given.
    pub fn given(&self) -> &[String] {
        &self.set
    }

    /// Applies them in order.
    pub fn apply(&self, config: &mut Node) -> Result<(), Failure> {
        self.set.iter().try_for_each(|assignment| config.assign(assignment).map_err(Failure::usage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Document;

    /// The assignments in a help text: what follows `like`.
    fn examples(help: &str) -> Vec<&str> {
        let (_, examples) = help.split_once(", like ").unwrap();
        examples.split(" or ").map(|example| example.trim_matches('\'')).collect()
    }

    #[test]
    fn the_examples_of_every_help_text_change_such_a_file() {
        let command = <Overrides as clap::Args>::augment_args(clap::Command::new("run"));
        let of_a_run = command.get_arguments().next().unwrap().get_help().unwrap().to_string();
        for (help, file) in [
            (of_a_run.as_str(), r#"(guidance: Ssg(prior: Dse(), beta: 0.5))"#),
            (OF_AN_ABLATION, include_str!("../../configs/ablate-priors.ron")),
            (OF_A_CARD, include_str!("../../configs/validate/cifar10-ssg.ron")),
            (OF_A_TRAINING, include_str!("../../configs/train/cifar10-tokenizer.ron")),
        ] {
            assert_eq!(examples(help).len(), 2, "{help}");
            for example in examples(help) {
                let mut config = Document::parse("file.ron", file).unwrap();
                let before = config.to_ron_string();
                Overrides { set: vec![example.into()] }.apply(&mut config).unwrap();
                assert_ne!(config.to_ron_string(), before, "{example}");
            }
        }
    }
}
