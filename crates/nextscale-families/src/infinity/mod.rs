//! Infinity (Han et al., arXiv 2412.04431): a bitwise multi-scale tokenizer and a transformer over its bits,
//! conditioned on texts.

mod aspect;
mod open;
mod published;
mod random;
mod texts;
pub mod training;

use open::{Files, OpenInfinity};

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use nextscale_backbones::infinity::InfinityConfig;
use nextscale_config::Node;
use nextscale_config::settings::{
    Description, Entry, Fallback, Form, Reader, Setting, Settings, schema::leaf,
};
use nextscale_core::ScaleSchedule;
use nextscale_files::Hash;
use nextscale_text::{PromptTokenizer, T5Config, TextEncoder};
use nextscale_tokenizers::Tokenizer;
use nextscale_tokenizers::bitwise::{BsqVaeConfig, MultiScaleBsq};
use nextscale_weights::{LoadError, WeightFile};
use serde::{Deserialize, Serialize};

use crate::{Architecture, EmbeddedFile, Error, ModelFamily, ModelSource, OpenModel, Published, Result};

/// A top-level tensor of every transformer of the family.
const MARKER: &str = "cfg_uncond";
/// A tensor of every text encoder of the family.
const ENCODER: &str = "encoder.final_layer_norm.weight";

/// The family.
#[derive(Debug, Clone, Copy, Default)]
pub struct InfinityFamily;

impl ModelFamily for InfinityFamily {
    fn entry(&self) -> Entry<dyn ModelSource> {
        Entry::of(|files: InfinityFiles| Arc::new(files) as Arc<dyn ModelSource>)
    }

    fn recognise(&self, file: &WeightFile) -> Option<Result<String, String>> {
        if InfinityConfig::is_of(file) {
            Some(transformer(file).map_err(|error| error.to_string()))
        } else if BsqVaeConfig::is_of(file) {
            Some(tokenizer(file).map_err(|error| error.to_string()))
        } else if file.rooted(ENCODER).is_ok_and(|file| file.info(ENCODER).is_some()) {
            Some(encoder(file).map_err(|error| error.to_string()))
        } else {
            None
        }
    }

    fn has_backbone(&self, file: &WeightFile) -> bool {
        InfinityConfig::is_of(file)
    }

    fn published(&self) -> &'static [Published] {
        published::ALL
    }

    fn marks(&self) -> Vec<String> {
        vec![
            format!("Infinity's transformer (`{MARKER}`)"),
            "its tokenizer (`decoder.conv_in.conv.weight`)".into(),
            format!("a T5 text encoder (`{ENCODER}`)"),
        ]
    }

    fn random(&self, sizes: &str) -> Option<Result<Arc<dyn OpenModel>>> {
        random::Sizes::read(sizes)
            .map(|sizes| sizes.and_then(|sizes| Ok(Arc::new(sizes.open()?) as Arc<dyn OpenModel>)))
    }

    fn tokenizer(
        &self,
        file: &WeightFile,
        _image: (usize, usize),
        device: &Device,
    ) -> Option<Result<Arc<dyn Tokenizer>>> {
        let load = || Ok(Arc::new(MultiScaleBsq::load_own(file, device)?) as Arc<dyn Tokenizer>);
        BsqVaeConfig::is_of(file).then(load)
    }

    fn architectures(&self) -> Vec<Architecture> {
        training::architectures()
    }

    fn shipped(&self, files: &[EmbeddedFile], node: &Node) -> Result<Arc<dyn OpenModel>> {
        let bytes = |name| Ok::<_, Error>(EmbeddedFile::find(files, name, node)?.bytes);
        let file =
            |name| Ok::<_, Error>(WeightFile::from_bytes(bytes(name)?, format!("the shipped {name}"))?);
        let vocabulary = PromptTokenizer::from_bytes(bytes("vocabulary")?, "the shipped vocabulary")?;
        let files = Files {
            tokenizer: file("tokenizer")?,
            backbone: file("backbone")?,
            text: TextEncoder::of(file("text")?, vocabulary)?,
        };
        let config = InfinityConfig::infer(&files.backbone, None)?;
        Ok(Arc::new(OpenInfinity::new(files, config, None, node)?))
    }
}

fn transformer(file: &WeightFile) -> Result<String> {
    let config = InfinityConfig::infer(file, None)?;
    let rooted = InfinityConfig::rooted(file)?;
    config.expected().check(&rooted)?;
    rooted.verify()?;
    let name = config.name().map(|name| format!(" of the published size {name}")).unwrap_or_default();
    Ok(format!("An Infinity transformer that can be used{name}: {}", sizes(&config)))
}

/// A transformer's sizes in words.
fn sizes(config: &InfinityConfig) -> String {
    format!(
        "depth {}, width {}, {} heads, {} bits per token, texts of {} channels and up to {} tokens, scales {}",
        config.depth,
        config.width,
        config.heads,
        config.bits,
        config.text_width,
        config.text_rows,
        config.schedule
    )
}

fn tokenizer(file: &WeightFile) -> Result<String> {
    let config = BsqVaeConfig::infer(file, None)?;
    config.check_file(file, false)?;
    file.verify()?;
    Ok(format!(
        "A bitwise multi-scale tokenizer that can be used: {} channels times {:?}, {} bits per latent, {} pixels per latent",
        config.channels,
        config.multipliers,
        config.bits,
        config.reduction()
    ))
}

fn encoder(file: &WeightFile) -> Result<String> {
    let config = T5Config::infer(file)?;
    let file = file.rooted(ENCODER)?;
    config.expected(&file).check(&file)?;
    Ok(format!(
        "A T5 text encoder that can be used: {} blocks, width {}, {} heads, {} rows of embeddings",
        config.depth, config.width, config.heads, config.vocabulary
    ))
}

/// Upstream's own files, or files in their format.
#[derive(Debug, Clone, PartialEq)]
pub struct InfinityFiles {
    /// The tokenizer's file.
    pub tokenizer: PathBuf,
    /// The transformer's file, or a folder of shards.
    pub backbone: PathBuf,
    /// The text encoder and its vocabulary.
    pub text: TextFiles,
    /// A folder for encoded prompts.
    pub text_cache: Option<PathBuf>,
    /// The size of images: `0.06M`, `0.25M`, `0.60M` or `1M` pixels; the model's own by default.
    pub size: Option<String>,
    /// Their aspect ratio, width before height; 1:1 by default.
    pub aspect: Option<String>,
    /// The scales, instead of a size and a ratio; by default those in the file, else those of square images.
    pub scales: Option<ScaleSchedule>,
    /// Groups of the tokenizer's norms; by default those in its file, else upstream's.
    pub norm_groups: Option<usize>,
}

/// A text encoder's files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextFiles {
    /// Its weights: a file, an index of shards, or a folder with either.
    pub encoder: PathBuf,
    /// Its vocabulary: a `tokenizer.json` or a `spiece.model`.
    pub tokenizer: PathBuf,
}

impl Settings for InfinityFiles {
    fn description() -> Description {
        let setting = |name, about, fallback, schema| Setting { name, about, fallback, schema };
        let text = leaf::<serde_json::Map<String, serde_json::Value>>;
        Description {
            name: "Infinity",
            about: "The files of Infinity, or files in their format.",
            example: "Infinity(tokenizer: \"a.pth\", backbone: \"b.pth\", text: (encoder: \"c\", tokenizer: \"d.json\"))",
            settings: vec![
                setting("tokenizer", "The tokenizer's file.", Fallback::MustBeGiven, leaf::<String>),
                setting(
                    "backbone",
                    "The transformer's file, or a folder of shards.",
                    Fallback::MustBeGiven,
                    leaf::<String>,
                ),
                setting(
                    "text",
                    "The T5 encoder's weights (a file, or a folder of shards) and its vocabulary (`tokenizer.json` or `spiece.model`).",
                    Fallback::MustBeGiven,
                    text,
                ),
                setting(
                    "text_cache",
                    "A folder for encoded prompts, so that a later run with the same prompts needs no encoder.",
                    Fallback::Nothing,
                    leaf::<String>,
                ),
                setting(
                    "size",
                    "Pixels per image: \"0.06M\", \"0.25M\", \"0.60M\" or \"1M\"; by default the model's own.",
                    Fallback::Nothing,
                    leaf::<String>,
                ),
                setting(
                    "aspect",
                    "Width to height, like \"4:3\": one of upstream's fifteen ratios; \"1:1\" by default.",
                    Fallback::Nothing,
                    leaf::<String>,
                ),
                setting(
                    "scales",
                    "Instead of size and aspect: a list of sides or of (height, width); by default the file's.",
                    Fallback::Nothing,
                    leaf::<Vec<serde_json::Value>>,
                ),
                setting(
                    "norm_groups",
                    "Groups of the tokenizer's norms; by default those in its file, else upstream's.",
                    Fallback::Nothing,
                    leaf::<usize>,
                ),
            ],
            also: vec![Form {
                example: "Infinity(\"125m\")",
                about: "A published model by its short name, downloaded once; `nextscale models` lists them.",
                schema: leaf::<String>,
            }],
        }
    }

    fn read(reader: &mut Reader<'_>) -> nextscale_config::Result<Self> {
        let (tokenizer, backbone) = (reader.file("tokenizer")?, reader.file("backbone")?);
        let text: TextFiles = reader.take("text")?;
        let folder = reader.folder();
        let text = TextFiles { encoder: folder.join(text.encoder), tokenizer: folder.join(text.tokenizer) };
        let files = Self {
            tokenizer,
            backbone,
            text,
            text_cache: reader.path_option("text_cache")?,
            size: reader.take_option("size")?,
            aspect: reader.take_option("aspect")?,
            scales: reader.take_option("scales")?,
            norm_groups: reader.take_option("norm_groups")?,
        };
        if files.scales.is_some() && (files.size.is_some() || files.aspect.is_some()) {
            let error =
                reader.error("`scales` and `size` or `aspect` exclude each other: both set the scales");
            return Err(error.with_help("leave one of them out"));
        }
        Ok(files)
    }
}

impl ModelSource for InfinityFiles {
    fn open(&self, node: &Node) -> Result<Arc<dyn OpenModel>> {
        let files = Files {
            tokenizer: WeightFile::open(&self.tokenizer)?,
            backbone: WeightFile::open(&self.backbone)?,
            text: TextEncoder::open(&self.text.encoder, &self.text.tokenizer)?,
        };
        let config = self.config(&files.backbone, node)?;
        let weights = [files.tokenizer.fingerprint()?, files.backbone.fingerprint()?];
        let text = files.text.fingerprint().to_owned();
        let mut open = OpenInfinity::new(files, config, self.norm_groups, node)?;
        // The same weights make other images at other sizes.
        let mut rest = Hash::new();
        rest.update_part(text);
        rest.update_part(open.schedule().to_string());
        rest.update_part(format!("{:?}", self.norm_groups));
        open.facts.fingerprint = [&weights[0], &weights[1], &rest.short(12)].map(String::as_str).join("-");
        open.facts.resolved = self.resolved(&open)?;
        open.facts.words = self.backbone.file_name().unwrap_or_default().to_string_lossy().into_owned();
        open.cache.clone_from(&self.text_cache);
        Ok(Arc::new(open))
    }
}

impl InfinityFiles {
    /// The transformer's sizes, on the requested scales.
    fn config(&self, backbone: &WeightFile, node: &Node) -> Result<InfinityConfig> {
        let place = |field: &str| node.get(field).unwrap_or(node);
        let refused = |error: nextscale_core::Error| {
            let field = match &error {
                nextscale_core::Error::Setting { field, .. } => field.clone(),
                _ => "scales".into(),
            };
            Error::Config(place(&field).error(error.to_string()))
        };
        let config = InfinityConfig::infer(backbone, self.scales.as_ref()).map_err(|error| match error {
            LoadError::Weights(error) => Error::Weights(error),
            LoadError::Settings(error) => refused(error),
        })?;
        if self.size.is_none() && self.aspect.is_none() {
            return Ok(config);
        }
        let Some(size) = self.size.as_deref().or_else(|| aspect::size_of(config.schedule.len())) else {
            let error = place("aspect").error("an aspect needs a size: the model's own scales have none");
            return Err(error
                .with_help("give size: \"0.06M\", \"0.25M\", \"0.60M\" or \"1M\" beside it")
                .into());
        };
        let schedule = aspect::schedule(self.aspect.as_deref().unwrap_or("1:1"), size).map_err(refused)?;
        config.on_scales(&schedule).map_err(refused)
    }

    fn resolved(&self, open: &OpenInfinity) -> Result<Node> {
        #[derive(Serialize)]
        #[serde(rename = "Model")]
        enum Written<'a> {
            Infinity {
                tokenizer: &'a Path,
                backbone: &'a Path,
                text: TextFiles,
                #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bare")]
                text_cache: Option<PathBuf>,
                #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bare")]
                size: Option<&'static str>,
                #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bare")]
                aspect: Option<String>,
                #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bare")]
                scales: Option<&'a ScaleSchedule>,
                #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bare")]
                norm_groups: Option<usize>,
            },
        }
        // Absolute, so that the config in a run folder can be run from there.
        let absolute = |path: &Path| std::path::absolute(path).map_err(Error::io("find", path));
        let template = aspect::of(open.schedule());
        Ok(Node::from_serialize(&Written::Infinity {
            tokenizer: &absolute(&self.tokenizer)?,
            backbone: &absolute(&self.backbone)?,
            text: TextFiles {
                encoder: absolute(&self.text.encoder)?,
                tokenizer: absolute(&self.text.tokenizer)?,
            },
            text_cache: self.text_cache.as_deref().map(absolute).transpose()?,
            scales: template.is_none().then(|| open.schedule()),
            size: template.as_ref().map(|(_, size)| *size),
            aspect: template.map(|(aspect, _)| aspect),
            norm_groups: self.norm_groups,
        })?)
    }
}

/// A value as configs write it, without `Some(..)` around it.
fn bare<T: Serialize, S: serde::Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => value.serialize(serializer),
        None => serializer.serialize_none(),
    }
}
