//! `--set PATH=VALUE`, for every command that reads a config.

use crate::config::Node;

use super::Failure;

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
