//! Random weights of a published size under upstream's names, to try memory and speed without the published
//! files: `cargo run --release --example random_var -- 16 FOLDER`, then `nextscale generate FOLDER/run.ron`.

use std::error::Error;
use std::path::PathBuf;

use burn::tensor::Device;
use nextscale::backbones::var::{Initialisation, VarConfig};
use nextscale::tokenizers::vq::VqvaeConfig;
use nextscale::weights::Precision;

const RUN: &str = r#"(
    model: Var(tokenizer: "vae_ch160v4096z32.safetensors", backbone: "BACKBONE"),
    condition: Labels([207]),
    guidance: Ssg(base: Cfg(scale: Ramp(1.5)), prior: Dse(), beta: Linear(from: 0.5, to: 0.0)),
    sampling: TopKTopP(top_k: 900, top_p: 0.96),
)
"#;

fn main() -> Result<(), Box<dyn Error>> {
    nextscale::kernels::allocator::tune();
    let mut arguments = std::env::args().skip(1);
    let (Some(depth), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: random_var DEPTH FOLDER, with a depth of 16, 20, 24, 30 or 36".into());
    };
    let (depth, folder) = (depth.parse()?, PathBuf::from(folder));
    std::fs::create_dir_all(&folder)?;
    let device = Device::flex();
    let config = VarConfig::published(depth)?;
    let tokenizer = VqvaeConfig::published().init(config.schedule.clone(), 0, &device)?;
    tokenizer.save(folder.join("vae_ch160v4096z32.safetensors"), Precision::F32)?;
    let backbone = format!("var_d{depth}.safetensors");
    config.init(&Initialisation::default(), &device)?.save(folder.join(&backbone), Precision::F32, true)?;
    std::fs::write(folder.join("run.ron"), RUN.replace("BACKBONE", &backbone))?;
    println!("wrote {}", folder.display());
    Ok(())
}
