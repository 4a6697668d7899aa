//! The files that both sides read.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nextscale::backbones::var::{Initialisation, SCALES_256, VarConfig};
use nextscale::burn::tensor::Device;
use nextscale::core::ScaleSchedule;
use nextscale::tokenizers::vq::VqvaeConfig;
use nextscale::weights::Precision;

use crate::Result;

/// A model.
pub struct Files {
    /// The autoencoder.
    pub tokenizer: PathBuf,
    /// The transformer.
    pub backbone: PathBuf,
}

impl Files {
    /// Those of a folder, by the names that `examples/random_var.rs` gives them.
    pub fn of(folder: &Path, depth: usize) -> Self {
        Self {
            tokenizer: folder.join("vae_ch160v4096z32.safetensors"),
            backbone: folder.join(format!("var_d{depth}.safetensors")),
        }
    }

    /// Makes random weights of the published sizes where there are no files. A depth that was not published has the
    /// published proportions.
    pub fn make_missing(&self, depth: usize) -> Result<()> {
        let device = Device::flex();
        let model = match VarConfig::published(depth) {
            Ok(model) => model,
            Err(_) => VarConfig::new(depth, ScaleSchedule::square(&SCALES_256)?),
        };
        if let Some(folder) = self.backbone.parent() {
            fs::create_dir_all(folder)
                .map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))?;
        }
        if !self.tokenizer.exists() {
            eprintln!("making {}", self.tokenizer.display());
            let tokenizer = VqvaeConfig::published().init(model.schedule.clone(), 0, &device)?;
            tokenizer.save(&self.tokenizer, Precision::F32)?;
        }
        if !self.backbone.exists() {
            eprintln!("making {}", self.backbone.display());
            model.init(&Initialisation::default(), &device)?.save(&self.backbone, Precision::F32, true)?;
        }
        Ok(())
    }

    /// Reads them once, so that neither side waits for the disk.
    pub fn warm(&self) -> Result<()> {
        for path in [&self.tokenizer, &self.backbone] {
            let unreadable = |error| format!("cannot read {}: {error}", path.display());
            io::copy(&mut File::open(path).map_err(unreadable)?, &mut io::sink()).map_err(unreadable)?;
        }
        Ok(())
    }
}
