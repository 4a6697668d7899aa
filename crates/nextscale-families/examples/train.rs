//! Runs a training without the rest of nextscale: `train classifier|tokenizer|backbone CONFIG OUT [--resume]
//! [--minutes N]`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use burn::tensor::Device;
use nextscale_config::Document;
use nextscale_families::training::{ModelPart, architecture};
use nextscale_families::{InfinityFamily, ModelFamily, VarFamily};
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
    let node = Document::read(Path::new(config))?;
    let base = Path::new(config).parent().unwrap_or(Path::new("."));
    let device = Device::flex();
    let part = |part| {
        let known = VarFamily.architectures().into_iter().chain(InfinityFamily.architectures());
        architecture(part, &node, known)?.train(&node, base, &options, &device)
    };
    let outcome = match what.as_str() {
        "classifier" => {
            let config: TrainClassifier = node.decode()?;
            train_classifier(&config.relative_to(base), &options, &device)?
        }
        "tokenizer" => part(ModelPart::Tokenizer)?,
        "backbone" => part(ModelPart::Backbone)?,
        other => {
            return Err(format!("{other} cannot be trained; give classifier, tokenizer or backbone").into());
        }
    };
    println!("{outcome:?}");
    Ok(())
}
