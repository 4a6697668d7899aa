//! The files that both sides read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use nextscale::backbones::hart::HartConfig;
use nextscale::backbones::infinity::InfinityConfig;
use nextscale::backbones::var::{Initialisation, SCALES_256, VarConfig};
use nextscale::burn::tensor::{Device, TensorData};
use nextscale::core::ScaleSchedule;
use nextscale::core::random::splitmix64;
use nextscale::tokenizers::bitwise::BsqVaeConfig;
use nextscale::tokenizers::hybrid::HybridVq;
use nextscale::tokenizers::vq::VqvaeConfig;
use nextscale::weights::{Precision, save_safetensors};

use crate::Result;

/// The tensor in the file of texts.
pub const TEXT: &str = "text";
/// Images that the file of texts has rows for.
const TEXTS: usize = 8;
/// Rows of a text for Infinity, which reads as many as there are.
const ROWS: usize = 32;

/// What is raced.
#[derive(Debug, Clone, Copy)]
pub enum Family {
    /// VAR of a depth, at 256 × 256.
    Var(usize),
    /// Infinity-125M at 0.06M pixels, from texts that are already encoded.
    Infinity,
    /// HART-0.7B at 256 × 256, from texts that are already encoded.
    Hart,
}

/// A model.
pub struct Files {
    /// Whose they are.
    pub family: Family,
    /// The autoencoder.
    pub tokenizer: PathBuf,
    /// The transformer.
    pub backbone: PathBuf,
    /// Rows of texts, if the model reads them.
    pub text: Option<PathBuf>,
}

impl Files {
    /// The files in a folder; VAR's are named as by `examples/random_var.rs`.
    pub fn of(folder: &Path, family: Family) -> Self {
        let (tokenizer, backbone, text) = match family {
            Family::Var(depth) => ("vae_ch160v4096z32", format!("var_d{depth}"), None),
            Family::Infinity => ("infinity_vae_d16", "infinity_125m".into(), Some("texts")),
            Family::Hart => ("hart_tokenizer", "hart_0.7b".into(), Some("texts")),
        };
        let file = |name: &str| folder.join(format!("{name}.safetensors"));
        Self { family, tokenizer: file(tokenizer), backbone: file(&backbone), text: text.map(file) }
    }

    /// Creates random weights of the published sizes if files are missing. An unpublished depth has the
    /// published proportions.
    pub fn make_missing(&self) -> Result<()> {
        let device = Device::flex();
        if let Some(folder) = self.backbone.parent() {
            fs::create_dir_all(folder)
                .map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))?;
        }
        let missing = |path: &Path| {
            let missing = !path.exists();
            if missing {
                eprintln!("making {}", path.display());
            }
            missing
        };
        match self.family {
            Family::Var(depth) => {
                let model = match VarConfig::published(depth) {
                    Ok(model) => model,
                    Err(_) => VarConfig::new(depth, ScaleSchedule::square(&SCALES_256)?),
                };
                if missing(&self.tokenizer) {
                    let tokenizer = VqvaeConfig::published().init(model.schedule.clone(), 0, &device)?;
                    tokenizer.save(&self.tokenizer, Precision::F32)?;
                }
                if missing(&self.backbone) {
                    let backbone = model.init(&Initialisation::default(), &device)?;
                    backbone.save(&self.backbone, Precision::F32, true)?;
                }
            }
            Family::Infinity => {
                let model = InfinityConfig::published("125m")?;
                if missing(&self.tokenizer) {
                    let config = BsqVaeConfig::published(model.bits)?;
                    let tokenizer = config.init(model.schedule.clone(), false, 0, &device)?;
                    tokenizer.save(&self.tokenizer, Precision::F32)?;
                }
                if missing(&self.backbone) {
                    let backbone = model.init(&Initialisation::default(), &device)?;
                    backbone.save(&self.backbone, Precision::F32, true)?;
                }
                if let Some(text) = self.text.as_ref().filter(|path| missing(path)) {
                    save_safetensors(
                        text,
                        [texts(ROWS, model.text_width)],
                        Precision::F32,
                        &BTreeMap::new(),
                    )?;
                }
            }
            Family::Hart => {
                let model = HartConfig::published(Some(&ScaleSchedule::square(&SCALES_256)?))?;
                if missing(&self.tokenizer) {
                    let config = VqvaeConfig::published();
                    let tokenizer = HybridVq::init(&config, model.schedule.clone(), 0, &device)?;
                    tokenizer.save(&self.tokenizer, Precision::F32)?;
                }
                if missing(&self.backbone) {
                    let backbone = model.init(&Initialisation::default(), &device)?;
                    backbone.save(&self.backbone, Precision::F32)?;
                }
                if let Some(text) = self.text.as_ref().filter(|path| missing(path)) {
                    let texts = texts(model.context, model.text_width);
                    save_safetensors(text, [texts], Precision::F32, &BTreeMap::new())?;
                }
            }
        }
        Ok(())
    }

    /// Reads them once, so that neither side waits for the disk.
    pub fn warm(&self) -> Result<()> {
        for path in [&self.tokenizer, &self.backbone].into_iter().chain(&self.text) {
            let unreadable = |error| format!("cannot read {}: {error}", path.display());
            io::copy(&mut File::open(path).map_err(unreadable)?, &mut io::sink()).map_err(unreadable)?;
        }
        Ok(())
    }
}

/// Rows of texts: numbers between -0.25 and 0.25, similar to a text encoder's.
fn texts(rows: usize, width: usize) -> (String, TensorData) {
    let number = |i| (splitmix64(0, i) >> 40) as f32 / (1 << 25) as f32 - 0.25;
    let values: Vec<f32> = (0..(TEXTS * rows * width) as u64).map(number).collect();
    (TEXT.into(), TensorData::new(values, [TEXTS, rows, width]))
}
