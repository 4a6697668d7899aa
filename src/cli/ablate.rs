//! `nextscale ablate FILE`: variants of guidance, measured on the same random numbers.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::ablation::judge::{Judge, Judges};
use crate::ablation::report::Scatters;
use crate::ablation::{self, Ablation, Options, Progress, Said, Store};
use crate::burn::tensor::Device;
use crate::config::{Document, Node};
use crate::files::write_atomically;
use crate::pipeline::device::DeviceChoice;
use crate::pipeline::{Registry, Stop, Worker, version};
use crate::shards::ShardFolder;
use indicatif::ProgressBar;

use super::device::DeviceArgs;
use super::interrupt::on_interrupt;
use super::overrides::{self, Overrides};
use super::recognise::ConfigKind;
use super::report::{self, ScatterArgs};
use super::shards::{ShardArgs, requeued, tell_share};
use super::{Failure, config_file, place, say};
use crate::pipeline::progress;

/// Compare variants of guidance on the same random numbers, with intervals and a report
#[derive(Debug, clap::Args)]
#[command(mut_arg("set", |set| set.help(overrides::OF_AN_ABLATION)))]
pub struct Args {
    /// The ablation, a RON file
    file: PathBuf,
    /// Use the values of the file's `quick`, for a first look with few images; --set has priority
    #[arg(long)]
    quick: bool,
    /// The folder for images and reports [default: the file's name, followed by -quick with --quick]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    scatter: ScatterArgs,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    shards: ShardArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Records the run in the folder: the ablation as read, with --quick and --set applied, and for every run of
/// it the command, the version, when it began and, at its end, how long it took.
fn keep(store: &Store, tree: &Node, begun: SystemTime, took: Option<Duration>) -> Result<(), Failure> {
    let unwritten = |name: &str, error: std::io::Error| {
        Failure::Run(miette::miette!("cannot write {}: {error}", store.root().join(name).display()))
    };
    let text = format!("{}\n", tree.to_ron_string());
    write_atomically(&store.root().join("ablation.ron"), text.as_bytes())
        .map_err(|error| unwritten("ablation.ron", error))?;
    let said = Line {
        command: std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect(),
        version: version::words(),
        begun_unix_seconds: begun.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        seconds: took.map(|took| took.as_secs_f64()),
    };
    let line = serde_json::to_string(&said).unwrap_or_default() + "\n";
    let runs = std::fs::OpenOptions::new().create(true).append(true).open(store.root().join("runs.jsonl"));
    runs.and_then(|mut runs| runs.write_all(line.as_bytes())).map_err(|error| unwritten("runs.jsonl", error))
}

/// A line of `runs.jsonl`: one when a run begins, and one when it ends.
#[derive(serde::Serialize)]
struct Line {
    command: Vec<String>,
    version: String,
    begun_unix_seconds: u64,
    seconds: Option<f64>,
}

/// Generates what is missing, and writes the report.
pub fn run(args: Args, registry: &Registry, judges: &Judges) -> Result<(), Failure> {
    let place = args.shards.place()?;
    let device = place.device(args.device.device)?;
    let mut tree = config_file::read(&args.file, ConfigKind::Ablation)?;
    let name = args.file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folder = args.file.parent().unwrap_or(Path::new("")).to_owned();
    if args.quick {
        Ablation::quicken(&mut tree)?;
    }
    args.overrides.apply(&mut tree)?;
    let placed = |error: ablation::Error| Failure::from(error).placed(&tree, &folder);
    let ablation = Ablation::from_node(&tree, &folder, registry, judges).map_err(placed)?;
    say::warn(&ablation.remarks());
    let scatters = args.scatter.scatters()?;
    // Checked before there is a folder, and hours before a measure would miss something.
    let opened = device.open()?;
    let built = ablation.judges(judges, &opened).map_err(placed)?;
    if scatters != Scatters::default() {
        let names = built.iter().flat_map(|judge| judge.measures()).map(|measure| measure.name);
        let swept = ablation.cells.iter().flat_map(|cell| &cell.swept).map(|(path, _)| path.clone());
        scatters.check(&names.collect::<Vec<_>>(), &swept.collect::<Vec<_>>())?;
    }
    let command = command(&args);
    let out =
        args.out.unwrap_or_else(|| if args.quick { format!("{name}-quick") } else { name.clone() }.into());
    let out = place::folder(out)?;
    let said = Said {
        name,
        text: tree.to_ron_string(),
        folder: absolute(&folder)?,
        // As it was asked for: the merge may run where there are fewer.
        device: args.device.device.to_string(),
        command: Some(command),
    };
    if let Some(worker) = &place.worker {
        return shard(&ablation, &built, &out, opened, (worker, place.stop), &said).map_err(requeued);
    }
    let store = Store::open(&out)?;
    make(&ablation, &built, &store, opened, &said, &tree)?;
    report::write(&store, judges, device, &scatters)
}

/// The folder that relative paths in a file are relative to, for another process.
fn absolute(folder: &Path) -> Result<PathBuf, Failure> {
    let named = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    std::path::absolute(named)
        .map_err(|error| Failure::Run(miette::miette!("cannot find {}: {error}", named.display())))
}

/// Makes what is missing of a folder.
fn make(
    ablation: &Ablation,
    judges: &[Box<dyn Judge>],
    store: &Store,
    device: Device,
    said: &Said,
    tree: &Node,
) -> Result<(), Failure> {
    let stop = Stop::new();
    on_interrupt({
        let stop = stop.clone();
        move || stop.request()
    })?;
    let bar = progress::bar("images");
    let mut show = shown(&bar);
    let options = Options { device, stop, command: said.command.clone(), progress: &mut show };
    let begun = SystemTime::now();
    keep(store, tree, begun, None)?;
    ablation::run(&said.name, ablation, judges, store, options)?;
    bar.finish_and_clear();
    keep(store, tree, begun, begun.elapsed().ok())
}

fn shown(bar: &ProgressBar) -> impl FnMut(&Progress) + use<> {
    let bar = bar.clone();
    move |progress: &Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        bar.set_message(progress.cell.clone());
    }
}

/// Makes a worker's share.
fn shard(
    ablation: &Ablation,
    judges: &[Box<dyn Judge>],
    out: &Path,
    device: Device,
    (worker, stop): (&Worker, Stop),
    said: &Said,
) -> Result<(), Failure> {
    let store = Store::open_for_shard(out)?;
    let bar = progress::bar("images");
    let mut show = shown(&bar);
    let options = Options { device, stop, command: None, progress: &mut show };
    let share = ablation::run_shard(ablation, judges, &store, options, worker, said)?;
    bar.finish_and_clear();
    tell_share(worker, "chunks of images", [share.made, share.found, share.elsewhere], out);
    Ok(())
}

/// Completes a folder whose chunks were made by workers.
pub(super) fn merge(
    shards: ShardFolder,
    out: &Path,
    registry: &Registry,
    judges: &Judges,
) -> Result<(), Failure> {
    let said: Said = serde_json::from_value(shards.record().merge.clone()).map_err(|error| {
        let path = shards.path().display();
        Failure::Usage(miette::miette!("{path} is of another version of this program ({error})"))
    })?;
    let lock = shards.lock_for_merge()?;
    let tree = Document::parse("ablation.ron", &said.text).map_err(Failure::usage)?;
    let ablation = Ablation::from_node(&tree, &said.folder, registry, judges)?;
    let device: DeviceChoice = said.device.parse()?;
    let opened = device.open()?;
    let built = ablation.judges(judges, &opened)?;
    let store = Store::open_for_merge(out)?;
    let options = Options { device: opened.clone(), stop: Stop::new(), command: None, progress: &mut |_| {} };
    ablation::check_shards(&ablation, &built, &store, options)?;
    make(&ablation, &built, &store, opened, &said, &tree)?;
    report::write(&store, judges, device, &Scatters::default())?;
    drop(lock);
    Ok(shards.remove()?)
}

/// The command that makes the same numbers again: without the folder and the device.
fn command(args: &Args) -> String {
    let quick = args.quick.then(|| "--quick".to_owned());
    let sets = args.overrides.given().iter().flat_map(|set| ["--set".to_owned(), quoted(set)]);
    let words = ["nextscale", "ablate"].map(str::to_owned).into_iter();
    let words = words.chain([quoted(&args.file.to_string_lossy())]).chain(quick).chain(sets);
    words.collect::<Vec<_>>().join(" ")
}

/// A word, quoted for a shell if necessary.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_shell_reads_words_back() {
        assert_eq!(quoted("configs/a.ron"), "configs/a.ron");
        assert_eq!(quoted("measures=[Pixels]"), "'measures=[Pixels]'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
