use std::path::{Path, PathBuf};
use std::sync::Arc;

use nextscale_backbones::hart::{Described, HartConfig};
use nextscale_config::Node;
use nextscale_config::settings::{Description, Fallback, Reader, Setting, Settings, schema::leaf};
use nextscale_core::ScaleSchedule;
use nextscale_files::Hash;
use nextscale_text::PaddedEncoder;
use nextscale_tokenizers::hybrid::HybridVq;
use nextscale_tokenizers::vq::VqvaeConfig;
use nextscale_weights::{LoadError, WeightFile};
use serde::{Deserialize, Serialize};

use super::open::{Files, OpenHart};
use crate::{Error, ModelSource, OpenModel, Result};

/// The averaged weights, which upstream generates with.
const AVERAGED: &str = "ema_model.bin";

/// Upstream's own files, or files in their format.
#[derive(Debug, Clone, PartialEq)]
pub struct HartFiles {
    /// The folder with `llm/` and `tokenizer/`.
    pub folder: PathBuf,
    /// The language model that encodes prompts.
    pub text: LanguageModel,
    /// A folder for encoded prompts.
    pub text_cache: Option<PathBuf>,
    /// Whether the averaged weights (`ema_model.bin`) are taken; by default if there are any.
    pub averaged: Option<bool>,
    /// Whether the continuous residual is sampled; by default if the file has the head for it.
    pub residual: Option<bool>,
    /// Steps of the head's sampler; by default the file's.
    pub diffusion_steps: Option<usize>,
    /// The strength t of the head's own guidance; by default upstream's.
    pub residual_cfg: Option<f64>,
    /// The scales; by default the file's.
    pub scales: Option<ScaleSchedule>,
    /// Groups of the tokenizer's norms; by default upstream's.
    pub norm_groups: Option<usize>,
}

/// A language model's files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageModel {
    /// Its weights: a file, an index of shards, or a folder with either, and with `config.json`.
    pub encoder: PathBuf,
    /// Its vocabulary, a `tokenizer.json`; by default in the weights' folder.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "bare")]
    pub tokenizer: Option<PathBuf>,
    /// A text that comes before every prompt.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "bare")]
    pub system: Option<String>,
}

impl Settings for HartFiles {
    fn description() -> Description {
        let setting = |name, about, schema| Setting { name, about, fallback: Fallback::Nothing, schema };
        let needed = |name, about, schema| Setting { name, about, fallback: Fallback::MustBeGiven, schema };
        let text = leaf::<serde_json::Map<String, serde_json::Value>>;
        Description {
            name: "Hart",
            about: "The files of HART, or files in their format.",
            example: "Hart(folder: \"hart-0.7b-1024px\", text: (encoder: \"Qwen2-VL-1.5B-Instruct\"))",
            settings: vec![
                needed("folder", "The folder with `llm` and `tokenizer`.", leaf::<String>),
                needed(
                    "text",
                    "The Qwen2 that encodes prompts: `encoder`, its weights and `config.json` (a folder); `tokenizer`, its \
                     `tokenizer.json`, by default in the same folder; `system`, a text before every prompt.",
                    text,
                ),
                setting(
                    "text_cache",
                    "A folder for encoded prompts, so that a later run with the same prompts needs no encoder.",
                    leaf::<String>,
                ),
                setting(
                    "averaged",
                    "Take the averaged weights, `ema_model.bin`, as upstream does; by default if there are any.",
                    leaf::<bool>,
                ),
                setting(
                    "residual",
                    "Sample the continuous residual with the diffusion head; by default if the file has one.",
                    leaf::<bool>,
                ),
                setting(
                    "diffusion_steps",
                    "Steps of the head's sampler, 1 to 1000; by default the file's.",
                    leaf::<usize>,
                ),
                setting(
                    "residual_cfg",
                    "The strength t of the head's own guidance, (1 + t)·conditional − t·unconditional, where the rule runs the \
                     unconditional pass; by default upstream's, 4.5·(K−2)/(K−1) for K scales.",
                    leaf::<f64>,
                ),
                setting(
                    "scales",
                    "A list of sides or of (height, width); by default the file's.",
                    leaf::<Vec<serde_json::Value>>,
                ),
                setting(
                    "norm_groups",
                    "Groups of the tokenizer's norms; by default upstream's.",
                    leaf::<usize>,
                ),
            ],
            also: Vec::new(),
        }
    }

    fn read(reader: &mut Reader<'_>) -> nextscale_config::Result<Self> {
        let folder = reader.file("folder")?;
        let text: LanguageModel = reader.take("text")?;
        let place = reader.folder();
        let text = LanguageModel {
            encoder: place.join(text.encoder),
            tokenizer: text.tokenizer.map(|tokenizer| place.join(tokenizer)),
            system: text.system,
        };
        let files = Self {
            folder,
            text,
            text_cache: reader.path_option("text_cache")?,
            averaged: reader.take_option("averaged")?,
            residual: reader.take_option("residual")?,
            diffusion_steps: reader.take_option("diffusion_steps")?,
            residual_cfg: reader.take_option("residual_cfg")?,
            scales: reader.take_option("scales")?,
            norm_groups: reader.take_option("norm_groups")?,
        };
        let of_head = [
            ("diffusion_steps", files.diffusion_steps.is_some()),
            ("residual_cfg", files.residual_cfg.is_some()),
        ];
        if files.residual == Some(false)
            && let Some((name, _)) = of_head.iter().find(|(_, given)| *given)
        {
            let error =
                reader.error(format!("`{name}` is of the residual, which `residual: false` leaves out"));
            return Err(error.with_help(format!("leave `{name}` out, or sample the residual")));
        }
        Ok(files)
    }
}

impl ModelSource for HartFiles {
    fn open(&self, node: &Node) -> Result<Arc<dyn OpenModel>> {
        let llm = self.transformer(node)?;
        let place = |field: &str| node.get(field).unwrap_or(node);
        let refused = |error: nextscale_core::Error| match &error {
            nextscale_core::Error::Setting { field, .. } => {
                Error::Config(place(field).error(error.to_string()))
            }
            _ => Error::Core(error),
        };
        let (description, backbone) = (described_beside(&llm)?, WeightFile::open(&llm)?);
        let description = description.ok_or_else(|| {
            missing(&self.folder.join("llm").join("config.json"), "the sizes that tensors do not show")
        })?;
        let settled = |error: LoadError| match error {
            LoadError::Weights(error) => Error::Weights(error),
            LoadError::Settings(error) => refused(error),
        };
        let config =
            HartConfig::infer(&backbone, Some(&description), self.scales.as_ref()).map_err(settled)?;
        let config = self.with_residual(config, &backbone, node)?;
        config.check().map_err(refused)?;
        let vae = WeightFile::open(self.folder.join("tokenizer"))?;
        let said = DescribedTokenizer::read(&self.folder.join("tokenizer").join("config.json"))?;
        let layout = said.checked(HybridVq::infer(&vae, self.norm_groups)?, &vae)?;
        let vocabulary = self.text.tokenizer.as_ref().unwrap_or(&self.text.encoder);
        let text =
            PaddedEncoder::open(&self.text.encoder, vocabulary, config.context, self.text.system.as_deref())?;

        let weights = [vae.fingerprint()?, backbone.fingerprint()?];
        let mut rest = Hash::new();
        // The same weights make other images at other sizes, with other steps, or without the residual.
        rest.update_part(text.fingerprint());
        rest.update_part(format!("{} {:?} {layout:?}", config.schedule, config.residual));
        let mut open = OpenHart::new(Files { tokenizer: vae, backbone, text }, config, layout, node)?;
        open.facts.fingerprint = [&weights[0], &weights[1], &rest.short(12)].map(String::as_str).join("-");
        open.facts.resolved = self.resolved(&open)?;
        open.facts.words = self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        open.cache.clone_from(&self.text_cache);
        Ok(Arc::new(open))
    }
}

impl HartFiles {
    /// The transformer's weights.
    fn transformer(&self, node: &Node) -> Result<PathBuf> {
        let folder = self.folder.join("llm");
        let averaged = folder.join(AVERAGED);
        match self.averaged.unwrap_or_else(|| averaged.is_file()) {
            false => Ok(folder),
            true if averaged.is_file() => Ok(averaged),
            true => {
                let error = node.get("averaged").unwrap_or(node);
                let error = error.error(format!("there is no {}", averaged.display()));
                Err(error.with_help("leave `averaged` out, or write false for the other weights").into())
            }
        }
    }

    /// The architecture with the head that the settings ask for.
    fn with_residual(&self, mut config: HartConfig, file: &WeightFile, node: &Node) -> Result<HartConfig> {
        if self.residual == Some(false) {
            config.residual = None;
            return Ok(config);
        }
        let asked = [
            ("residual", self.residual == Some(true)),
            ("diffusion_steps", self.diffusion_steps.is_some()),
            ("residual_cfg", self.residual_cfg.is_some()),
        ];
        match &mut config.residual {
            Some(head) => {
                head.steps = self.diffusion_steps.unwrap_or(head.steps);
                head.cfg = self.residual_cfg.unwrap_or(head.cfg);
            }
            None => {
                if let Some((name, _)) = asked.iter().find(|(_, asked)| *asked) {
                    let place = node.get(name).unwrap_or(node);
                    let error = place.error(format!(
                        "{} has no diffusion head (`diffloss.net.*`), which samples the residual",
                        file.label()
                    ));
                    let help = "leave it out to generate without the residual, or take the published file";
                    return Err(error.with_help(help).into());
                }
            }
        }
        Ok(config)
    }

    fn resolved(&self, open: &OpenHart) -> Result<Node> {
        #[derive(Serialize)]
        #[serde(rename = "Model")]
        enum Written<'a> {
            Hart {
                folder: &'a Path,
                text: LanguageModel,
                #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bare")]
                text_cache: Option<PathBuf>,
                averaged: bool,
                residual: bool,
                #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bare")]
                diffusion_steps: Option<usize>,
                #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bare")]
                residual_cfg: Option<f64>,
                scales: &'a ScaleSchedule,
                #[serde(skip_serializing_if = "Option::is_none", serialize_with = "bare")]
                norm_groups: Option<usize>,
            },
        }
        // Absolute, so that the config in a run folder can be run from there.
        let absolute = |path: &Path| std::path::absolute(path).map_err(Error::io("find", path));
        let residual = open.config().residual;
        Ok(Node::from_serialize(&Written::Hart {
            folder: &absolute(&self.folder)?,
            text: LanguageModel {
                encoder: absolute(&self.text.encoder)?,
                tokenizer: self.text.tokenizer.as_deref().map(absolute).transpose()?,
                system: self.text.system.clone(),
            },
            text_cache: self.text_cache.as_deref().map(absolute).transpose()?,
            averaged: self.averaged.unwrap_or_else(|| self.folder.join("llm").join(AVERAGED).is_file()),
            residual: residual.is_some(),
            diffusion_steps: residual.map(|head| head.steps),
            residual_cfg: residual.map(|head| head.cfg),
            scales: open.schedule(),
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

fn missing(path: &Path, what: &str) -> Error {
    Error::Usage(format!(
        "there is no {}, which says {what}; give the whole folder that was published",
        path.display()
    ))
}

/// The `config.json` beside a transformer's weights, if there is one.
pub(super) fn described_beside(weights: &Path) -> Result<Option<Described>> {
    let folder = if weights.is_dir() { weights } else { weights.parent().unwrap_or(Path::new("")) };
    read_json(&folder.join("config.json"))
}

/// The sizes of the tokenizer in the same folder as a transformer's, if there is one that can be read.
pub(super) fn tokenizer_of(weights: &Path) -> Option<VqvaeConfig> {
    let llm = if weights.is_dir() { weights } else { weights.parent()? };
    let file = WeightFile::open(llm.parent()?.join("tokenizer")).ok()?;
    HybridVq::infer(&file, None).ok()
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|error| {
        Error::Usage(format!(
            "{}: {error}; it should be the one that was published with the weights",
            path.display()
        ))
    })
}

/// What a tokenizer's `config.json` says of what its tensors do not show.
#[derive(Debug, Default, Deserialize)]
pub(super) struct DescribedTokenizer {
    quantizer_type: Option<String>,
    using_znorm: Option<bool>,
    quant_resi: Option<f64>,
    vocab_size: Option<usize>,
    z_channels: Option<usize>,
    v_patch_nums: Option<nextscale_backbones::hart::PatchNums>,
}

impl DescribedTokenizer {
    /// Reads a `config.json`; nothing is said if there is none.
    pub fn read(path: &Path) -> Result<Self> {
        Ok(read_json(path)?.unwrap_or_default())
    }

    /// The one beside a tokenizer's weights.
    pub fn beside(weights: &Path) -> Result<Self> {
        Self::read(&weights.parent().unwrap_or(Path::new("")).join("config.json"))
    }

    /// The architecture, completed; refuses relatives whose arithmetic differs.
    pub fn checked(&self, mut config: VqvaeConfig, file: &WeightFile) -> Result<VqvaeConfig> {
        let wrong =
            |detail: String| Err(Error::Usage(format!("the config.json beside {}: {detail}", file.label())));
        if let Some(kind) = self.quantizer_type.as_deref().filter(|&kind| kind != "var_hybrid") {
            return wrong(format!("`quantizer_type` is {kind:?}; only var_hybrid is supported"));
        }
        if self.using_znorm == Some(true) {
            return wrong("`using_znorm` is true; only codes nearest by distance are supported".into());
        }
        let sizes = [
            ("vocab_size", self.vocab_size, config.vocabulary),
            ("z_channels", self.z_channels, config.latent_channels),
        ];
        for (field, said, found) in sizes {
            if let Some(said) = said.filter(|&said| said != found) {
                return wrong(format!("`{field}` is {said}, and the weights beside it have {found}"));
            }
        }
        config.phi_ratio = self.quant_resi.unwrap_or(config.phi_ratio);
        Ok(config)
    }

    /// The scales that it was trained on.
    pub fn scales(&self, file: &WeightFile) -> Result<ScaleSchedule> {
        let sides = self.v_patch_nums.as_ref().and_then(|numbers| numbers.sides()).ok_or_else(|| {
            let message = format!(
                "neither {} nor a config.json beside it says them; give the whole folder that was published",
                file.label()
            );
            nextscale_core::Error::setting("scales", message)
        })?;
        Ok(ScaleSchedule::square(&sides)?)
    }
}
