//! Times the encoding of one prompt by a T5 encoder with random weights on the CPU;
//! `benches/vs_torch/text.py` does the same in PyTorch: `cargo run --release -p nextscale-text --example
//! time_t5 [xl|small] [tokens] [runs]`.

use std::time::Instant;

use burn::tensor::Device;
use nextscale_core::ConditionRows;
use nextscale_text::T5Config;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    nextscale_kernels::allocator::tune();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, otherwise: usize| arguments.get(at).map_or(Ok(otherwise), |text| text.parse());
    let config = match arguments.first().map_or("xl", String::as_str) {
        "small" => T5Config::new(32_128, 512, 8, 6, 1024),
        _ => T5Config::xl(),
    };
    let (tokens, runs) = (number(1, 32)?, number(2, 5)?);
    let start = Instant::now();
    let model = config.init_to_encode(0, &Device::flex())?;
    println!("made in {:.1} s", start.elapsed().as_secs_f64());
    let prompt: Vec<u32> = (0..tokens as u32).map(|i| 5 + i * 37 % 1000).collect();
    let mut seconds: Vec<f64> = (0..=runs)
        .map(|_| {
            let start = Instant::now();
            let ConditionRows::Embeddings { values, .. } = model.rows(&[&prompt])? else {
                unreachable!("the rows of texts are embeddings")
            };
            values.into_data();
            Ok(start.elapsed().as_secs_f64())
        })
        .collect::<nextscale_core::Result<_>>()?;
    seconds.remove(0);
    seconds.sort_by(f64::total_cmp);
    println!(
        "{tokens} tokens: median {:.4} s, {:.4} to {:.4}",
        seconds[seconds.len() / 2],
        seconds[0],
        seconds[seconds.len() - 1]
    );
    Ok(())
}
