//! VAR (Tian et al., arXiv 2404.02905): a multi-scale VQ tokenizer and a transformer over its codes,
//! conditioned on classes.

mod memory;
mod open;
mod published;
mod random;
pub mod training;

use open::{Files, OpenVar};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use nextscale_backbones::var::{SCALES_256, SCALES_512, VarConfig};
use nextscale_config::Node;
use nextscale_config::settings::{
    Description, Entry, Fallback, Form, Reader, Setting, Settings, schema::leaf,
};
use nextscale_core::{Dtype, ScaleSchedule};
use nextscale_tokenizers::Tokenizer;
use nextscale_tokenizers::hybrid::HybridVq;
use nextscale_tokenizers::vq::{MultiScaleVq, VqvaeConfig};
use nextscale_weights::WeightFile;
use serde::Serialize;

use crate::{
    Architecture, EmbeddedFile, Error, ModelFamily, ModelSource, OpenModel, Published, Result, fingerprint,
};

/// The family.
#[derive(Debug, Clone, Copy, Default)]
pub struct VarFamily;

impl ModelFamily for VarFamily {
    fn entry(&self) -> Entry<dyn ModelSource> {
        Entry::of(|files: VarFiles| Arc::new(files) as Arc<dyn ModelSource>)
    }

    fn recognise(&self, file: &WeightFile) -> Option<Result<String, String>> {
        if has(file, BACKBONE) {
            Some(transformer(file))
        } else if is_tokenizer(file) {
            Some(tokenizer(file))
        } else {
            None
        }
    }

    fn memory(&self, file: &WeightFile, batch: usize, dtype: Dtype) -> Option<String> {
        let rooted = file.rooted(BACKBONE).ok().filter(|file| file.info(BACKBONE).is_some())?;
        let config = VarConfig::infer(&rooted, None).ok()?;
        Some(memory::words(&config, &VqvaeConfig::published(), batch, dtype))
    }

    fn has_backbone(&self, file: &WeightFile) -> bool {
        has(file, BACKBONE)
    }

    fn published(&self) -> &'static [Published] {
        published::ALL
    }

    fn marks(&self) -> Vec<String> {
        vec![
            format!("VAR's transformer (it would have `{BACKBONE}`)"),
            format!("its tokenizer (`{TOKENIZER}`)"),
        ]
    }

    fn tokenizer(
        &self,
        file: &WeightFile,
        image: (usize, usize),
        device: &Device,
    ) -> Option<Result<Arc<dyn Tokenizer>>> {
        is_tokenizer(file).then(|| {
            let file = file.rooted(TOKENIZER)?;
            let config = VqvaeConfig::infer(&file, None)?;
            let scales = scales(&file, &config, image)?;
            Ok(Arc::new(MultiScaleVq::load(&file, scales, None, true, device)?) as Arc<dyn Tokenizer>)
        })
    }

    fn random(&self, sizes: &str) -> Option<Result<Arc<dyn OpenModel>>> {
        random::Sizes::read(sizes)
            .map(|sizes| sizes.and_then(|sizes| Ok(Arc::new(sizes.open()?) as Arc<dyn OpenModel>)))
    }

    fn architectures(&self) -> Vec<Architecture> {
        training::architectures()
    }

    fn shipped(&self, files: &[EmbeddedFile], node: &Node) -> Result<Arc<dyn OpenModel>> {
        let file = |name| {
            let bytes = EmbeddedFile::find(files, name, node)?.bytes;
            Ok::<_, Error>(WeightFile::from_bytes(bytes, format!("the shipped {name}"))?)
        };
        let files = Files { tokenizer: file("tokenizer")?, backbone: file("backbone")? };
        Ok(Arc::new(OpenVar::new(files, None, None, node)?))
    }
}

/// The tensor by which a transformer is recognised.
const BACKBONE: &str = "pos_1LC";
/// The tensor by which a tokenizer is recognised.
const TOKENIZER: &str = "quantize.embedding.weight";

/// Whether a file has a tensor, or several under different prefixes.
fn has(file: &WeightFile, marker: &str) -> bool {
    file.rooted(marker).map_or(true, |file| file.info(marker).is_some())
}

/// Whether a file is a tokenizer of this family: the hybrid one has the same tensors in a dictionary.
fn is_tokenizer(file: &WeightFile) -> bool {
    has(file, TOKENIZER) && !HybridVq::is_of(file)
}

fn transformer(file: &WeightFile) -> Result<String, String> {
    let rooted = file.rooted(BACKBONE).map_err(|error| error.to_string())?;
    let config = VarConfig::infer(&rooted, None).map_err(|error| error.to_string())?;
    config.expected().check(&rooted).and_then(|()| rooted.verify()).map_err(|error| error.to_string())?;
    Ok(format!("A VAR transformer that can be used: {}", sizes(&config)))
}

/// A transformer's sizes in words.
fn sizes(config: &VarConfig) -> String {
    format!(
        "depth {}, width {}, {} heads, {:?} AdaLN, {} classes, {} codes of {} channels, scales {}",
        config.depth,
        config.width,
        config.heads,
        config.ada_ln,
        config.classes,
        config.vocabulary,
        config.feature_channels,
        config.schedule
    )
}

fn tokenizer(file: &WeightFile) -> Result<String, String> {
    let rooted = file.rooted(TOKENIZER).map_err(|error| error.to_string())?;
    let config = VqvaeConfig::infer(&rooted, None).map_err(|error| error.to_string())?;
    let scales = said_scales(&rooted).map_err(|error| error.to_string())?;
    // Their number matters if φ differs per scale, and then φ shows it.
    let count = scales.as_ref().map_or_else(|| config.phi_count(&rooted), ScaleSchedule::len);
    let expected = config.expected(count, MultiScaleVq::has_encoder(&rooted));
    expected.check(&rooted).and_then(|()| rooted.verify()).map_err(|error| error.to_string())?;
    // The file does not say it, and the published number may not fit.
    let any = ScaleSchedule::square(&[1]).map_err(|error| error.to_string())?;
    let usable = match config.check(scales.as_ref().unwrap_or(&any)) {
        Ok(()) => "that can be used".into(),
        Err(error) if error.to_string().starts_with("norm_groups") => {
            format!("that can be used if `norm_groups` in `Var(..)` gives the groups of its norms ({error})")
        }
        Err(error) => return Err(error.to_string()),
    };
    let scales = scales.map_or(String::new(), |scales| format!(", scales {scales}"));
    Ok(format!(
        "A multi-scale VQ tokenizer {usable}: {} channels times {:?}, {} codes of {} channels, {} pixels per latent, \
         norms in {} groups{scales}",
        config.channels,
        config.multipliers,
        config.vocabulary,
        config.latent_channels,
        config.reduction(),
        config.norm_groups
    ))
}

/// The scales in a tokenizer's header.
fn said_scales(file: &WeightFile) -> Result<Option<ScaleSchedule>> {
    Ok(file.metadata().get("scales").map(|scales| scales.parse()).transpose()?)
}

/// The scales of a tokenizer without a transformer: those in its header, or else the published list
/// for images of this size.
fn scales(file: &WeightFile, config: &VqvaeConfig, image: (usize, usize)) -> Result<ScaleSchedule> {
    if let Some(scales) = said_scales(file)? {
        return Ok(scales);
    }
    for sides in [SCALES_256, SCALES_512] {
        let scales = ScaleSchedule::square(&sides)?;
        if config.image_size(scales.last()) == image {
            return Ok(scales);
        }
    }
    let sizes = [SCALES_256, SCALES_512].map(|sides| {
        let side = sides[sides.len() - 1] * config.reduction();
        format!("{side} × {side}")
    });
    Err(Error::Usage(format!(
        "{} does not say its scales, and no published list generates images of {} × {} pixels, only of {}; name it in a config with the scales: \
         (model: Var(tokenizer: \"..\", backbone: \"..\", scales: [..]))",
        file.label(),
        image.1,
        image.0,
        sizes.join(" and ")
    )))
}

/// Upstream's own files, or files in their format.
#[derive(Debug, Clone, PartialEq)]
pub struct VarFiles {
    /// The tokenizer's file.
    pub tokenizer: PathBuf,
    /// The transformer's file.
    pub backbone: PathBuf,
    /// The scales; by default what the files say, else the published list with as many positions.
    pub scales: Option<ScaleSchedule>,
    /// Groups of the tokenizer's norms; by default what its file says, else 32.
    pub norm_groups: Option<usize>,
}

impl Settings for VarFiles {
    fn description() -> Description {
        let setting = |name, about, fallback, schema| Setting { name, about, fallback, schema };
        Description {
            name: "Var",
            about: "The files of VAR, or files in their format.",
            example: "Var(tokenizer: \"a.pth\", backbone: \"b.pth\")",
            settings: vec![
                setting("tokenizer", "The tokenizer's file.", Fallback::MustBeGiven, leaf::<String>),
                setting("backbone", "The transformer's file.", Fallback::MustBeGiven, leaf::<String>),
                setting(
                    "scales",
                    "Sides or (height, width) in a list, like [1, 2, (3, 4)], by default what the files say or else the published list \
                     with as many positions.",
                    Fallback::Nothing,
                    leaf::<Vec<serde_json::Value>>,
                ),
                setting(
                    "norm_groups",
                    "Groups of the tokenizer's norms, by default what its file says or else 32.",
                    Fallback::Nothing,
                    leaf::<usize>,
                ),
            ],
            also: vec![Form {
                example: "Var(\"d16\")",
                about: "A published model by its short name, downloaded once; `nextscale models` lists them.",
                schema: published::names,
            }],
        }
    }

    fn read(reader: &mut Reader<'_>) -> nextscale_config::Result<Self> {
        Ok(Self {
            tokenizer: reader.file("tokenizer")?,
            backbone: reader.file("backbone")?,
            scales: reader.take_option("scales")?,
            norm_groups: reader.take_option("norm_groups")?,
        })
    }
}

impl ModelSource for VarFiles {
    fn open(&self, node: &Node) -> Result<Arc<dyn OpenModel>> {
        let files = Files::on_disk(&self.tokenizer, &self.backbone)?;
        let mut open = OpenVar::new(files, self.scales.as_ref(), self.norm_groups, node)?;
        open.facts.fingerprint =
            [fingerprint::of_file(&self.tokenizer)?, fingerprint::of_file(&self.backbone)?].join("-");
        open.facts.resolved = self.resolved(&open)?;
        open.facts.words = self.backbone.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Arc::new(open))
    }
}

impl VarFiles {
    fn resolved(&self, open: &OpenVar) -> Result<Node> {
        #[derive(Serialize)]
        #[serde(rename = "Model")]
        enum Written<'a> {
            Var { tokenizer: &'a Path, backbone: &'a Path, scales: &'a ScaleSchedule, norm_groups: usize },
        }
        // Absolute, so that the config in a run folder can be run from there.
        let absolute = |path: &Path| std::path::absolute(path).map_err(Error::io("find", path));
        Ok(Node::from_serialize(&Written::Var {
            tokenizer: &absolute(&self.tokenizer)?,
            backbone: &absolute(&self.backbone)?,
            scales: open.schedule(),
            norm_groups: open.norm_groups,
        })?)
    }
}
