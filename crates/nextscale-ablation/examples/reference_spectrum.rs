//! Prints the spectrum of images as JSON, the format of `data/cifar10-spectrum.json`.
//!
//! `cargo run -p nextscale-ablation --example reference_spectrum IMAGES NAME`

use std::path::Path;

use nextscale_ablation::judge::Spectrum;
use nextscale_metrics::source::ImageSource;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, name] = arguments.as_slice() else { return Err("give IMAGES NAME".into()) };
    let spectrum = Spectrum::of(&ImageSource::open(Path::new(folder))?)?;
    println!("{}", serde_json::to_string_pretty(&Spectrum { of: name.clone(), ..spectrum })?);
    Ok(())
}
