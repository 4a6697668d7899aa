//! Images per second on the CPU, 32×32 pixels each: `cargo run -p nextscale-metrics --example time_features
//! -- [images] [INCEPTION.pth]`. Uses the shipped network, or the FID Inception network if a file is given.

use std::{error::Error, time::Instant};

use burn::tensor::Device;
use nextscale_metrics::{FeatureNet, ImageBatch, Inception, Lite0};

fn main() -> Result<(), Box<dyn Error>> {
    nextscale_kernels::allocator::tune();
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(Ok(256), |text| text.parse::<usize>())?;
    let start = Instant::now();
    let net: Box<dyn FeatureNet> = match arguments.next() {
        Some(path) => Box::new(Inception::load(path, &Device::flex())?),
        None => Box::new(Lite0::shipped(&Device::flex())?),
    };
    println!("{}: loaded in {:.2} s", net.name(), start.elapsed().as_secs_f64());
    let pixels =
        (0..count * 32 * 32 * 3).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let images = ImageBatch::new(32, 32, pixels)?;
    for _ in 0..3 {
        let start = Instant::now();
        let features = net.extract(&images)?;
        println!("{:.1} images/s", features.count as f64 / start.elapsed().as_secs_f64());
    }
    Ok(())
}
