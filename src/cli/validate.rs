//! `nextscale validate CARD`: a published number, measured again.

use std::path::{Path, PathBuf};

use crate::ablation::validate::{Card, Checked, Outcome, Verdict, validate};
use crate::ablation::{Options, Progress, Store, judge::Judges};
use crate::files::write_atomically;
use crate::pipeline::{Registry, Stop, progress};

use super::device::DeviceArgs;
use super::interrupt::on_interrupt;
use super::overrides::{self, Overrides};
use super::recognise::ConfigKind;
use super::{Failure, config_file, place, say};

/// Run a published protocol again, and say whether its numbers are reproduced
///
/// A card states model, rule, sampler, number of images and measures, and the published numbers with their
/// tolerances; configs/validate has cards. The exit code is 0 if every number is reproduced, and 1 if one is
/// not or the images cannot decide. Repeat the command to resume an interrupted one; images are made once.
#[derive(Debug, clap::Args)]
#[command(mut_arg("set", |set| set.help(overrides::OF_A_CARD)))]
pub struct Args {
    /// The card, a RON file
    card: PathBuf,
    /// Make this many images instead of the card's. Numbers that depend on how many there are (FID) are then
    /// not decided, others (KID, class accuracy) only if their wider interval allows
    #[arg(long, value_name = "N")]
    images: Option<u64>,
    /// The folder of the files that the card names [default: the card's own]
    #[arg(long, value_name = "DIR")]
    files: Option<PathBuf>,
    /// The folder for images and measures, which `nextscale report` and `export` read too [default: the card's
    /// name, followed by -validation]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write the outcome as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Makes what is missing, measures, and prints the outcome.
pub fn run(args: Args, registry: &Registry, judges: &Judges) -> Result<(), Failure> {
    if let Some(file) = &args.json {
        place::check_file(file)?;
    }
    let mut tree = config_file::read(&args.card, ConfigKind::Card)?;
    args.overrides.apply(&mut tree)?;
    let folder = args.files.as_deref().or(args.card.parent()).unwrap_or(Path::new(""));
    let card = Card::from_node(&tree, folder, registry, args.images);
    let card = card.map_err(|error| Failure::from(error).placed(&tree, folder))?;
    say::warn(&card.remarks());
    let name = args.card.file_stem().unwrap_or_default().to_string_lossy();
    let out = place::folder(args.out.unwrap_or_else(|| format!("{name}-validation").into()))?;
    let store = Store::open(&out)?;
    let stop = Stop::new();
    on_interrupt({
        let stop = stop.clone();
        move || stop.request()
    })?;
    let bar = progress::bar("images");
    let mut show = |progress: &Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    };
    let spinner = progress::spinner();
    let options = Options {
        device: args.device.device.open()?,
        stop,
        command: Some(format!("nextscale validate {}", args.card.display())),
        progress: &mut show,
    };
    let outcome = validate(&card, judges, &store, options, &mut |measure| {
        bar.finish_and_clear();
        spinner.set_message(format!("{measure} and its interval"));
    })?;
    spinner.finish_and_clear();
    if let Some(file) = &args.json {
        write(file, &outcome)?;
    }
    say::out(format_args!("{outcome}"));
    let named = |verdict: Verdict| {
        let of = outcome.checked.iter().filter(|checked| checked.verdict == verdict);
        let names = of.map(|Checked { expected, .. }| expected.measure.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    match outcome.verdict() {
        Verdict::Passes => Ok(()),
        verdict @ (Verdict::Fails | Verdict::Undecided) => {
            Err(Failure::Run(miette::miette!("{} {verdict}: {}", outcome.name, named(verdict))))
        }
    }
}

fn write(file: &Path, outcome: &Outcome) -> Result<(), Failure> {
    let unwritten = |error: &dyn std::fmt::Display| {
        Failure::Run(miette::miette!("cannot write {}: {error}", file.display()))
    };
    let text = serde_json::to_string_pretty(outcome).map_err(|error| unwritten(&error))? + "\n";
    write_atomically(file, text.as_bytes()).map_err(|error| unwritten(&error))
}
