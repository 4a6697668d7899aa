//! Random weights of Infinity's published sizes under upstream's names, in half precision, to try memory and
//! speed without the published files: `cargo run --release --example random_infinity -- 2b FOLDER`.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use burn::tensor::Device;
use nextscale::backbones::infinity::{InfinityConfig, Initialisation};
use nextscale::tokenizers::bitwise::BsqVaeConfig;
use nextscale::weights::{Precision, save_safetensors};

fn main() -> Result<(), Box<dyn Error>> {
    nextscale::kernels::allocator::tune();
    let mut arguments = std::env::args().skip(1);
    let (Some(size), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: random_infinity SIZE FOLDER, with a size of 125m, 1b, 2b or 8b".into());
    };
    let folder = PathBuf::from(folder);
    std::fs::create_dir_all(&folder)?;
    let config = InfinityConfig::published(&size)?;
    // The 8B model reads latents of 14 bits in patches of 2 × 2.
    let patches = config.bits == 56;
    let vae = BsqVaeConfig::published(if patches { 14 } else { config.bits })?;
    let name = format!("infinity_vae_d{}.safetensors", vae.bits);
    vae.init(config.schedule.clone(), patches, 0, &Device::flex())?
        .save(folder.join(name), Precision::F16)?;
    let tensors = config.fresh_tensors(&Initialisation::default())?;
    let name = format!("infinity_{size}.safetensors");
    save_safetensors(folder.join(name), tensors, Precision::F16, &BTreeMap::new())?;
    println!("wrote {}", folder.display());
    Ok(())
}
