//! Starts a training run: `train classifier|tokenizer|backbone CONFIG OUT [--resume] [--minutes N]`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use burn::tensor::Device;
use nextscale_families::var::training::{TrainBackbone, TrainTokenizer, train_backbone, train_tokenizer};
use nextscale_train::config::TrainClassifier;
use nextscale_train::{Options, train_classifier};

fn main() -> Result<(), Box<dyn Error>> {
    nextscale_kernels::allocator::tune();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, config, out, rest @ ..] = arguments.as_slice() else {
        return Err("usage: train classifier|tokenizer|backbone CONFIG OUT [--resume] [--minutes N]".into());
    };
    let mut options = Options::new(PathBuf::from(out));
    options.resume = rest.iter().any(|argument| argument == "--resume");
    if let Some(place) = rest.iter().position(|argument| argument == "--minutes") {
        options.max_minutes = Some(rest.get(place + 1).ok_or("--minutes takes a number")?.parse()?);
    }
    let stop = options.stop.clone();
    ctrlc::set_handler(move || stop.store(true, Ordering::Relaxed))?;
    let text = std::fs::read_to_string(config)?;
    let base = Path::new(config).parent().unwrap_or(Path::new("."));
    let device = Device::flex();
    let outcome = match what.as_str() {
        "classifier" => {
            let config: TrainClassifier = ron::from_str(&text)?;
            train_classifier(&config.relative_to(base), &options, &device)?
        }
        "tokenizer" => {
            let config: TrainTokenizer = ron::from_str(&text)?;
            train_tokenizer(&config.relative_to(base), &options, &device)?
        }
        "backbone" => {
            let config: TrainBackbone = ron::from_str(&text)?;
            train_backbone(&config.relative_to(base), &options, &device)?
        }
        other => {
            return Err(format!("{other} cannot be trained; give classifier, tokenizer or backbone").into());
        }
    };
    println!("{outcome:?}");
    Ok(())
}
