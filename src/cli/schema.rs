//! `nextscale schema`: the schema of configs, for editors and programs.

use clap::ValueEnum;

use crate::ablation::validate;
use crate::pipeline::{Registry, registry};

use super::Failure;
use super::say;

/// Print the JSON Schema of a config, for editors and programs that write configs
///
/// A config is RON and a schema describes JSON, so an editor cannot check a .ron file with it directly. It
/// serves tools that list settings (names, help, defaults, required ones), programs that write configs, and
/// RON plugins that convert. RON maps to JSON as serde writes enums: Ssg(beta: 0.5) is {"Ssg": {"beta":
/// 0.5}}, Ramp(1.5) is {"Ramp": 1.5}, During(1, 2, 0.5) is {"During": [1, 2, 0.5]}, a bare name is a string,
/// (1, 2) and [1, 2] are [1, 2], (a: 1) is {"a": 1}, None is null.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of which file
    #[arg(value_enum, default_value_t = Of::Run)]
    of: Of,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Of {
    /// A config of `nextscale generate`
    Run,
    /// A card of `nextscale validate`
    Card,
}

/// Prints it.
pub fn run(args: Args, registry: &Registry) -> Result<(), Failure> {
    let schema = match args.of {
        Of::Run => registry::schema(registry),
        Of::Card => validate::schema(registry),
    };
    say::product(format_args!("{schema:#}\n"))
}
