//! Images a second of the shipped network on the CPU: `cargo run -p nextscale-metrics --example time_features [images]`.

use std::{error::Error, time::Instant};

use burn::tensor::Device;
use nextscale_metrics::{FeatureNet, ImageBatch, Lite0};

fn main() -> Result<(), Box<dyn Error>> {
    let count = std::env::args().nth(1).map_or(Ok(256), |text| text.parse::<usize>())?;
    let start = Instant::now();
    let net = Lite0::shipped(&Device::flex())?;
    println!("loaded in {:.2} s", start.elapsed().as_secs_f64());
    let pixels =
        (0..count * 32 * 32 * 3).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let images = ImageBatch::new(32, 32, pixels)?;
    for _ in 0..3 {
        let start = Instant::now();
        let features = net.extract(&images)?;
        println!("{:.0} images/s", features.count as f64 / start.elapsed().as_secs_f64());
    }
    Ok(())
}
