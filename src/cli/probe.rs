//! `nextscale probe fit DATA --out FILE`: a linear classifier for `evaluate --probe`.

use std::path::PathBuf;

use crate::metrics::probe::{About, Accuracy, FitOptions, fit};
use crate::metrics::{FeatureNet, Features, Lite0, Probe};
use crate::train::data::StoredImages;
use clap::Subcommand;

use super::Failure;
use super::data::{BATCH, Data, batch};
use super::device::DeviceArgs;
use super::evaluate::{claim, lite0};
use super::failure::failure;
use super::say::say;
use crate::pipeline::progress;

/// Fit a linear classifier to the shipped features, for `evaluate --probe`
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

impl Args {
    /// Where it computes.
    pub fn device(&self) -> &DeviceArgs {
        let Command::Fit(args) = &self.command;
        &args.device
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Fit(FitArgs),
}

/// Fit a linear probe to labelled images, and measure it on the data set's test images
///
/// Multinomial logistic regression on the standardised features of the shipped network, with L2
/// regularisation. The fit is deterministic.
#[derive(Debug, clap::Args)]
struct FitArgs {
    /// A folder of CIFAR-10 or Fashion-MNIST, or a data set in the notation of a training's `data`:
    /// 'Folder(root: "images", size: 64)'; without train and test in it every tenth image is held out
    data: PathBuf,
    /// Resize images to squares of this many pixels: the shorter side is resized, the middle of the longer
    /// one kept
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=8192))]
    size: Option<u32>,
    /// The .safetensors file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Fit to the first N training images of each class [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    per_class: Option<u32>,
    /// The weight of ½|W|², added to the mean cross-entropy; scikit-learn's C is 1/(images · L2)
    #[arg(long, value_name = "L2", default_value_t = FitOptions::default().l2)]
    l2: f64,
    #[command(flatten)]
    device: DeviceArgs,
}

/// Fits, measures, writes.
pub fn run(args: Args) -> Result<(), Failure> {
    let Command::Fit(args) = args.command;
    let _claimed = claim(&args.out)?;
    let options = FitOptions { l2: args.l2, ..FitOptions::default() };
    options.check().map_err(failure)?;
    let Data::Set(data) = Data::open_split(&args.data, args.size)? else {
        return Err(Failure::Usage(miette::miette!(
            help = "give CIFAR-10's or Fashion-MNIST's folder, or 'Folder(root: \"images\", size: 64)', a folder with \
                    train/CLASS/ and test/CLASS/, or with CLASS/, of which every tenth image is held out",
            "{} is not a data set with classes and a training and a test split",
            args.data.display()
        )));
    };
    let net = lite0(&args.device)?;
    let train = data.train.first_of_each(args.per_class.map_or(usize::MAX, |count| count as usize));
    let labels: Vec<u16> = train.iter().map(|&index| data.train.labels()[index]).collect();
    let features = features(&net, &data.train, &train, "training images")?;
    let bar = progress::spinner();
    let fitted = fit(&features, net.dims(), &labels, data.classes.len(), &options, &mut |step, gradient| {
        bar.set_message(format!("step {step}, gradient {gradient:.1e}"));
    });
    bar.finish_and_clear();
    let about = About {
        network: net.protocol(),
        classes: data.classes.clone(),
        data: args.data.display().to_string(),
        images: train.len() as u64,
        l2: args.l2,
        test: None,
    };
    let mut probe = fitted.and_then(|fitted| Probe::new(about, &fitted)).map_err(failure)?;
    let accuracy_of = |images: &StoredImages, picks: &[usize], features: Vec<f32>| {
        let dims = net.dims();
        let features = Features { count: picks.len(), dims, pooled: features, spatial: None, logits: None };
        let labels: Vec<u16> = picks.iter().map(|&index| images.labels()[index]).collect();
        let mut accuracy = Accuracy::default();
        accuracy.add(&probe.predict(&features).map_err(failure)?, &labels);
        Ok::<_, Failure>(accuracy)
    };
    let seen = accuracy_of(&data.train, &train, features)?;
    let test: Vec<usize> = (0..data.test.len()).collect();
    let held_out = accuracy_of(&data.test, &test, self::features(&net, &data.test, &test, "test images")?)?;
    probe.set_test(held_out);
    probe.save(&args.out).map_err(failure)?;
    say!("wrote {}: {} classes", args.out.display(), data.classes.len());
    for (of, accuracy) in [("training", seen), ("test", held_out)] {
        say!("accuracy {:.4} ± {:.4} on {} {of} images", accuracy.value(), accuracy.error(), accuracy.images);
    }
    Ok(())
}

/// Pooled features `[picks, dims]` of images by index.
fn features(net: &Lite0, images: &StoredImages, picks: &[usize], what: &str) -> Result<Vec<f32>, Failure> {
    let bar = progress::bar(what);
    bar.set_length(picks.len() as u64);
    let mut features = Vec::with_capacity(picks.len() * net.dims());
    for picks in picks.chunks(BATCH) {
        features.extend(net.extract(&batch(images, picks)?).map_err(failure)?.pooled);
        bar.inc(picks.len() as u64);
    }
    bar.finish_and_clear();
    Ok(features)
}
