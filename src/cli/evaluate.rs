//! `nextscale evaluate SAMPLES --reference REF`, `nextscale evaluate SAMPLES --probe FILE`.

use std::path::{Path, PathBuf};

use crate::metrics::kid::KidOptions;
use crate::metrics::source::ImageSource;
use crate::metrics::{
    Error, EvaluateOptions, FeatureNet, GatherOptions, Inception, InceptionProtocol, KeptAs, Lite0, Probe,
    Probing, Report, Statistics, evaluate,
};
use crate::weights::WeightFile;
use clap::ValueEnum;

use super::device::DeviceArgs;
use super::{Failure, progress};

/// Measure images against a reference: FID and related measures, or the same on shipped features
///
/// SAMPLES, REF and REC are each a folder of images, an .npz file of images (arr_0), a run folder, or a statistics file that
/// --save-statistics wrote; REF may also be an .npz file with mu and sigma.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to measure
    samples: PathBuf,
    /// What to measure it against
    #[arg(long, value_name = "REF", required_unless_present_any = ["save_statistics", "probe"])]
    reference: Option<PathBuf>,
    /// The reference's reconstructions by the tokenizer: adds every distance to them
    #[arg(long, value_name = "REC", requires = "reference")]
    rec: Option<PathBuf>,
    /// Add the share of samples that a linear probe assigns to their own class: cifar10 (shipped) or a file from
    /// `nextscale probe fit`. Samples are then a run folder, folders of images by class, or an .npz file with labels (arr_1)
    #[arg(long, value_name = "cifar10|FILE", conflicts_with = "save_statistics")]
    probe: Option<PathBuf>,
    /// The feature network: lite0 (shipped), your pt_inception-2015-12-05-6726825d.pth (for FID), or other weights of
    /// EfficientNet-Lite0
    #[arg(long, value_name = "lite0|FILE", default_value = "lite0")]
    features: PathBuf,
    /// How images are resized and scaled for Inception
    #[arg(long, value_enum, default_value_t = Input::PytorchFid)]
    inception_input: Input,
    /// Write the measures and their protocol as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the samples' statistics to a .safetensors file that can be used in their place. Repeat the command to resume an
    /// interrupted one
    #[arg(long, value_name = "FILE")]
    save_statistics: Option<PathBuf>,
    /// The precision of the kept features in that file: f16 halves its size and changes KID by about 1e-4 of its value
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
    device: DeviceArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Input {
    /// As the pytorch-fid package
    PytorchFid,
    /// As the ADM suite, which made its reference batches this way, and torch-fidelity
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
pub fn run(args: Args) -> Result<(), Failure> {
    if !(1..=1000).contains(&args.splits) {
        return Err(Failure::Usage(miette::miette!("--splits must be from 1 to 1000")));
    }
    let (json, saved) = (args.json.as_deref(), args.save_statistics.as_deref());
    for file in [json, saved].into_iter().flatten() {
        check_place(file)?;
    }
    if saved.is_some_and(|file| file.extension().is_none_or(|extension| extension != "safetensors")) {
        return Err(Failure::Usage(miette::miette!(
            "--save-statistics takes a file that ends in .safetensors"
        )));
    }
    if json.is_some() && args.reference.is_none() && args.probe.is_none() {
        return Err(Failure::Usage(miette::miette!(
            "--json needs a --reference to measure against, or a --probe"
        )));
    }
    let net = network(&args)?;
    let sets = [Some(&args.samples), args.reference.as_ref(), args.rec.as_ref()];
    for path in sets.into_iter().flatten() {
        Statistics::check(path, &*net).map_err(failure)?;
    }
    let probe = args.probe.as_deref().map(open_probe).transpose()?;
    let probing = probe.as_ref().map(|probe| probing(&*net, probe, &args.samples)).transpose()?;
    let options =
        GatherOptions { keep: args.keep, splits: args.splits, seed: args.seed, ..GatherOptions::default() };
    let samples = gathered("samples", |progress| match saved {
        Some(file) => {
            let kept_as = args.keep_as.into();
            Statistics::of_samples_saved(&args.samples, &*net, &options, file, kept_as, progress)
        }
        None => {
            let net = probing.as_ref().map_or(&*net, |probing| probing);
            Statistics::of_samples(&args.samples, net, &options, progress)
        }
    })?;
    let mut report = match &args.reference {
        Some(reference) => compared(&args, &samples, reference, &*net, &options)?,
        None => Report::of_samples(&samples, &EvaluateOptions::default()),
    };
    if let (Some(probe), Some(probing)) = (&probe, &probing) {
        report.add_probe(probe, probing.accuracy());
    }
    if args.reference.is_none() && args.probe.is_none() {
        return Ok(());
    }
    if let Some(file) = json {
        report.save_json(file).map_err(failure)?;
    }
    print!("{report}");
    if report.measures.is_empty() {
        return Err(Failure::Run(miette::miette!(
            "no measure could be taken: {}",
            report.warnings.join("; ")
        )));
    }
    Ok(())
}

/// The samples against the reference and what belongs to it.
fn compared(
    args: &Args,
    samples: &Statistics,
    reference: &Path,
    net: &dyn FeatureNet,
    options: &GatherOptions,
) -> Result<Report, Failure> {
    let of_reference =
        |role, path: &Path| gathered(role, |progress| Statistics::of_reference(path, net, options, progress));
    let reference = of_reference("reference", reference)?;
    let rec = args.rec.as_deref().map(|rec| of_reference("rec", rec)).transpose()?;
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
    if !probe.is_file() {
        let name = probe.display();
        return Err(Failure::Usage(miette::miette!(
            "--probe takes cifar10, or a file of `nextscale probe fit`; there is no file {name}"
        )));
    }
    Probe::read(probe).map_err(failure)
}

/// The network, watched by a probe that knows what the samples show.
fn probing<'a>(net: &'a dyn FeatureNet, probe: &'a Probe, samples: &Path) -> Result<Probing<'a>, Failure> {
    if samples.is_file() && samples.extension().is_some_and(|extension| extension == "safetensors") {
        return Err(Failure::Usage(miette::miette!(
            "{} holds statistics and no images, and --probe looks at images one by one; give the images",
            samples.display()
        )));
    }
    let source = ImageSource::open(samples).map_err(failure)?;
    let labels = source.labels(&probe.about().classes).map_err(failure)?;
    Probing::new(net, probe, labels).map_err(failure)
}

/// The shipped network.
pub(super) fn lite0(device: &DeviceArgs) -> Result<Lite0, Failure> {
    let device = device.device.open().map_err(|error| Failure::Usage(miette::miette!("{error}")))?;
    Lite0::shipped(&device).map_err(failure)
}

fn network(args: &Args) -> Result<Box<dyn FeatureNet>, Failure> {
    if args.features == Path::new("lite0") {
        return Ok(Box::new(lite0(&args.device)?));
    }
    let device = args.device.device.open().map_err(|error| Failure::Usage(miette::miette!("{error}")))?;
    if !args.features.exists() {
        let name = args.features.display();
        return Err(Failure::Usage(miette::miette!(
            "--features takes lite0, or the file pt_inception-2015-12-05-6726825d.pth; there is no file {name}"
        )));
    }
    let file = WeightFile::open(&args.features).map_err(|error| Failure::Run(miette::miette!("{error}")))?;
    // Only EfficientNet has blocks by that name, in either of its two namings.
    if file.names().any(|name| name.starts_with("blocks.") || name.starts_with("_blocks.")) {
        return Ok(Box::new(Lite0::load(&args.features, &device).map_err(failure)?));
    }
    let protocol = match args.inception_input {
        Input::PytorchFid => InceptionProtocol::PytorchFid,
        Input::Tensorflow => InceptionProtocol::TensorFlow,
    };
    Ok(Box::new(Inception::load(&args.features, &device).map_err(failure)?.with_protocol(protocol)))
}

/// Whether a file could be written: found out before the work, not after.
pub(super) fn check_place(file: &Path) -> Result<(), Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() && !file.is_dir() {
        return Ok(());
    }
    Err(Failure::Usage(miette::miette!("{} cannot be written: make its folder first", file.display())))
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

/// How a failure of a measure, or of the images that it is taken of, ends a command.
pub(super) fn failure(error: Error) -> Failure {
    let report = miette::miette!("{error}");
    if error.is_usage() { Failure::Usage(report) } else { Failure::Run(report) }
}
