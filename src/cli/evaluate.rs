//! `nextscale evaluate SAMPLES` with `--reference REF`, `--probe FILE` or `--classifier FILE`.

use std::path::{Path, PathBuf};

use crate::files::{Lock, LockError};
use crate::metrics::kid::KidOptions;
use crate::metrics::{
    Error, EvaluateOptions, FeatureNet, GatherOptions, Inception, InceptionProtocol, Input, KeptAs, Lite0,
    Probe, Probing, Report, Statistics, evaluate,
};
use crate::weights::WeightFile;
use clap::ValueEnum;

use super::device::DeviceArgs;
use super::failure::failure;
use super::judge::Judge;
use super::say;
use super::shards::{ShardArgs, facts, folder_of_file, requeued, tell_share};
use super::{Failure, data, place, recognise};
use crate::metrics::statistics::{Sharding, shard_of_samples};
use crate::pipeline::{Registry, Stop, Worker, progress};

/// Measure images against a reference: FID and related measures, or the same on shipped features
///
/// SAMPLES, REF and REC are each a folder of images, an .npz file of images (arr_0), a run folder, a cell of
/// an ablation (DIR/CELL), a data set in the notation of a training's `data` ('Test(Cifar10("DIR"))'), or a
/// statistics file from --save-statistics. REF may also be cifar10, for the shipped Lite0 statistics of its
/// test images, or an .npz file with mu and sigma.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to measure
    samples: PathBuf,
    /// What to measure it against
    #[arg(long, value_name = "REF", required_unless_present_any = ["save_statistics", "probe", "classifier"])]
    reference: Option<PathBuf>,
    /// The reference's reconstructions by the tokenizer: adds every distance to them
    #[arg(long, value_name = "REC", requires = "reference")]
    rec: Option<PathBuf>,
    /// Resize images to squares of this many pixels: the shorter side is resized, the middle of the longer
    /// one kept. Without it, all images must have one size
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=8192))]
    size: Option<u32>,
    /// Add the share of samples that a linear probe assigns to their own class: cifar10 (shipped) or a file
    /// from `nextscale probe fit`. Samples are then a run folder, folders of images by class, or an .npz file
    /// with labels (arr_1)
    #[arg(long, value_name = "cifar10|FILE", conflicts_with = "save_statistics")]
    probe: Option<PathBuf>,
    /// Add the share of samples that a classifier assigns to their own class: a file from
    /// `nextscale train classifier`. Samples are as for --probe, with the size of the classifier's training
    /// images
    #[arg(long, value_name = "FILE", conflicts_with = "save_statistics")]
    classifier: Option<PathBuf>,
    /// The feature network: lite0 (shipped), your pt_inception-2015-12-05-6726825d.pth (for FID), or other
    /// weights of EfficientNet-Lite0
    #[arg(long, value_name = "lite0|FILE", default_value = "lite0")]
    features: PathBuf,
    /// How images are resized and scaled for Inception
    #[arg(long, value_enum, default_value_t = InceptionInput::PytorchFid)]
    inception_input: InceptionInput,
    /// Write the measures and their protocol as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the samples' statistics to a .safetensors file that can be used in their place. Repeat the
    /// command to resume an interrupted one
    #[arg(long, value_name = "FILE")]
    save_statistics: Option<PathBuf>,
    /// The precision of the kept features in that file: f16 halves its size and changes KID by about 1e-4 of
    /// its value
    #[arg(long, value_enum, default_value_t = KeepAs::F32, requires = "save_statistics")]
    keep_as: KeepAs,
    /// How many images of each set keep their features, which all measures but FID, sFID and IS need
    #[arg(long, value_name = "N", default_value_t = GatherOptions::default().keep)]
    keep: usize,
    /// Splits of the Inception Score
    #[arg(long, value_name = "N", default_value_t = GatherOptions::default().splits)]
    splits: usize,
    /// The seed of kept images, splits and subsets
    #[arg(long, value_name = "N", default_value_t = GatherOptions::default().seed)]
    seed: u32,
    #[command(flatten)]
    shards: ShardArgs,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InceptionInput {
    /// As in the pytorch-fid package
    PytorchFid,
    /// As in torch-fidelity and ADM's evaluator, whose reference batches use it
    Tensorflow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum KeepAs {
    /// Single precision
    F32,
    /// Half precision
    F16,
    /// No features: the file then serves only Fréchet distances and Inception Scores
    Nothing,
}

impl From<KeepAs> for KeptAs {
    fn from(keep: KeepAs) -> Self {
        match keep {
            KeepAs::F32 => Self::F32,
            KeepAs::F16 => Self::F16,
            KeepAs::Nothing => Self::Nothing,
        }
    }
}

/// Measures, and prints the table.
pub fn run(mut args: Args) -> Result<(), Failure> {
    if args.save_statistics.is_none() && args.shards.is_given() {
        return Err(Failure::Usage(miette::miette!("--shard and --shards need --save-statistics")));
    }
    // Without it, every process measures everything.
    if args.save_statistics.is_some() {
        let place = args.shards.place()?;
        args.device.device = place.device(args.device.device)?;
        if let Some(worker) = &place.worker {
            return shard(&args, worker, &place.stop);
        }
    }
    if !(1..=1000).contains(&args.splits) {
        return Err(Failure::Usage(miette::miette!("--splits must be from 1 to 1000")));
    }
    let (json, saved) = (args.json.as_deref(), args.save_statistics.as_deref());
    if let Some(file) = json {
        place::check_file(file)?;
    }
    let _claimed = saved.map(claim).transpose()?;
    saved.map(check_ending).transpose()?;
    let measures = args.reference.is_some() || args.probe.is_some() || args.classifier.is_some();
    if json.is_some() && !measures {
        return Err(Failure::Usage(miette::miette!(
            "--json needs a --reference to measure against, a --probe or a --classifier"
        )));
    }
    let net = network(&args)?;
    let open = |path: &PathBuf, is_reference| {
        let input = data::input(path, args.size).map_err(|failure| failure.with_remedy(INPUTS))?;
        Statistics::check(&input, &*net, is_reference).map_err(failure)?;
        Ok::<_, Failure>(input)
    };
    let input = open(&args.samples, false)?;
    let reference = args.reference.as_ref().map(|path| open(path, true)).transpose()?;
    let rec = args.rec.as_ref().map(|path| open(path, true)).transpose()?;
    let probe = args.probe.as_deref().map(open_probe).transpose()?;
    let probing = probe.as_ref().map(|probe| probing(&*net, probe, &input)).transpose()?;
    let classifier = args.classifier.as_deref().map(|file| Judge::open(file, &args.device)).transpose()?;
    let judging = classifier
        .as_ref()
        .map(|classifier| classifier.watching(probing.as_ref().map_or(&*net, |probing| probing), &input))
        .transpose()?;
    let options =
        GatherOptions { keep: args.keep, splits: args.splits, seed: args.seed, ..GatherOptions::default() };
    let samples = gathered("samples", |progress| match saved {
        Some(file) => {
            let kept_as = args.keep_as.into();
            Statistics::of_samples_saved(&input, &*net, &options, file, kept_as, progress)
        }
        None => {
            let watched: &dyn FeatureNet = match (&judging, &probing) {
                (Some(judging), _) => judging,
                (None, Some(probing)) => probing,
                (None, None) => &*net,
            };
            Statistics::of_samples(&input, watched, &options, progress)
        }
    })?;
    let mut report = match &reference {
        Some(reference) => compared(&args, &samples, (reference, rec.as_ref()), &*net, &options)?,
        None => Report::of_samples(&samples, &EvaluateOptions::default()),
    };
    if let (Some(probe), Some(probing)) = (&probe, &probing) {
        report.add_probe(probe, probing.accuracy());
    }
    if let (Some(classifier), Some(judging)) = (&classifier, &judging) {
        let accuracy = judging.accuracy();
        report.add_classifier(classifier.origin(accuracy.images), accuracy);
    }
    if !measures {
        return Ok(());
    }
    match json {
        Some(file) => {
            report.save_json(file).map_err(failure)?;
            say::out(format_args!("{report}"));
        }
        None => say::product(format_args!("{report}"))?,
    }
    if report.measures.is_empty() {
        // The warnings are about measures that are not there.
        let missing = report.missing.join("; ");
        return Err(Failure::Run(miette::miette!("no measure could be taken: {missing}")));
    }
    Ok(())
}

fn check_ending(file: &Path) -> Result<(), Failure> {
    if file.extension().is_some_and(|extension| extension == "safetensors") {
        return Ok(());
    }
    Err(Failure::Usage(miette::miette!("--save-statistics takes a file that ends in .safetensors")))
}

/// What can be given, for a file that is not there.
const INPUTS: &str = "give a folder or an .npz file of images, a file of `--save-statistics`, a cell DIR/CELL of an ablation, or \
                      `cifar10` for the shipped statistics";

/// A worker's share of the samples' statistics, which `nextscale merge` puts together.
fn shard(args: &Args, worker: &Worker, stop: &Stop) -> Result<(), Failure> {
    let Some(file) = args.save_statistics.as_deref() else { return Ok(()) };
    if args.reference.is_some() || args.json.is_some() {
        return Err(Failure::Usage(miette::miette!(
            "a shard of the statistics cannot be measured: leave out --reference and --json, and measure {} after \
             `nextscale merge`; or do all of it here with --shard none",
            file.display()
        )));
    }
    place::check_file(file)?;
    check_ending(file)?;
    let net = network(args)?;
    let Input::Images(source) = data::input(&args.samples, args.size)? else {
        return Err(Failure::Usage(miette::miette!(
            "{} holds statistics, which need no shards",
            args.samples.display()
        )));
    };
    let device = args.device.device.open()?;
    let root = folder_of_file(file);
    let sharding = Sharding {
        shard: worker.shard,
        begun_by: worker.to_string(),
        root: &root,
        facts: facts(&device),
        kept_as: args.keep_as.into(),
    };
    let options =
        GatherOptions { keep: args.keep, splits: args.splits, seed: args.seed, ..GatherOptions::default() };
    let bar = progress::bar("images");
    let share =
        shard_of_samples(&source, &*net, &options, &sharding, &|| stop.requested(), &mut |done, images| {
            bar.set_length(images);
            bar.set_position(done);
        });
    bar.finish_and_clear();
    let share = share.map_err(|error| requeued(failure(error)))?;
    tell_share(worker, "images", [share.made, share.found, share.elsewhere], file);
    Ok(())
}

/// The samples compared with the reference and its reconstructions.
fn compared(
    args: &Args,
    samples: &Statistics,
    (reference, rec): (&Input, Option<&Input>),
    net: &dyn FeatureNet,
    options: &GatherOptions,
) -> Result<Report, Failure> {
    let of_reference = |role, input: &Input| {
        gathered(role, |progress| Statistics::of_reference(input, net, options, progress))
    };
    let reference = of_reference("reference", reference)?;
    let rec = rec.map(|rec| of_reference("rec", rec)).transpose()?;
    let options = EvaluateOptions {
        kid: KidOptions { seed: args.seed, ..KidOptions::default() },
        ..EvaluateOptions::default()
    };
    let bar = progress::spinner();
    let report =
        evaluate(samples, &reference, rec.as_ref(), &options, &mut |name| bar.set_message(name.to_owned()));
    bar.finish_and_clear();
    report.map_err(failure)
}

fn open_probe(probe: &Path) -> Result<Probe, Failure> {
    if probe == Path::new("cifar10") {
        return Probe::shipped("cifar10").map_err(failure);
    }
    place::check_given(probe, "--probe takes cifar10, or a file of `nextscale probe fit`")?;
    Probe::read(probe).map_err(failure)
}

/// The network, with a probe that sees its features and knows the samples' labels.
fn probing<'a>(net: &'a dyn FeatureNet, probe: &'a Probe, samples: &Input) -> Result<Probing<'a>, Failure> {
    let Input::Images(source) = samples else {
        return Err(Failure::Usage(miette::miette!(
            "{} holds statistics and no images, and --probe looks at images one by one; give the images",
            samples.path().display()
        )));
    };
    let labels = source.labels(&probe.about().classes).map_err(failure)?;
    Probing::new(net, probe, labels).map_err(failure)
}

/// The shipped network.
pub(super) fn lite0(device: &DeviceArgs) -> Result<Lite0, Failure> {
    let device = device.device.open().map_err(|error| Failure::Usage(miette::miette!("{error}")))?;
    Lite0::shipped(&device).map_err(failure)
}

/// What `--features` takes.
const NETWORKS: &str =
    "lite0, the file pt_inception-2015-12-05-6726825d.pth, or other weights of EfficientNet-Lite0";

fn network(args: &Args) -> Result<Box<dyn FeatureNet>, Failure> {
    if args.features == Path::new("lite0") {
        return Ok(Box::new(lite0(&args.device)?));
    }
    let device = args.device.device.open().map_err(|error| Failure::Usage(miette::miette!("{error}")))?;
    place::check_given(&args.features, &format!("--features takes {NETWORKS}"))?;
    let file = WeightFile::open(&args.features).map_err(|error| Failure::Run(miette::miette!("{error}")))?;
    // Only EfficientNet has blocks of that name, in either of its two namings.
    if file.names().any(|name| name.starts_with("blocks.") || name.starts_with("_blocks.")) {
        return Ok(Box::new(Lite0::load(&args.features, &device).map_err(failure)?));
    }
    if !file.names().any(|name| name.starts_with("Mixed_"))
        && let Ok(words) = recognise::weights(&args.features, &file, &Registry::standard())
    {
        let shown = args.features.display();
        return Err(Failure::Usage(miette::miette!(
            help = words,
            "--features takes {NETWORKS}, and {shown} is none of them"
        )));
    }
    let protocol = match args.inception_input {
        InceptionInput::PytorchFid => InceptionProtocol::PytorchFid,
        InceptionInput::Tensorflow => InceptionProtocol::TensorFlow,
    };
    Ok(Box::new(Inception::load(&args.features, &device).map_err(failure)?.with_protocol(protocol)))
}

/// Claims a file that will be written, so that problems appear before the work and no other process can write
/// it meanwhile.
pub(super) fn claim(file: &Path) -> Result<Lock, Failure> {
    place::check_file(file)?;
    Lock::beside(file).map_err(|error| match error {
        LockError::Held { .. } => Failure::Usage(miette::miette!(
            "another process is writing {}; wait for it, or name another file",
            file.display()
        )),
        other => Failure::Run(miette::miette!("{other}")),
    })
}

/// Gathers a set under a progress bar.
fn gathered(
    role: &'static str,
    gather: impl FnOnce(&mut dyn FnMut(u64, u64)) -> Result<Statistics, Error>,
) -> Result<Statistics, Failure> {
    let bar = progress::bar("images");
    bar.set_message(role);
    let found = gather(&mut |done, images| {
        bar.set_length(images);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    found.map_err(failure)
}
