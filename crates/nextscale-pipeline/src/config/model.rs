use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use nextscale_backbones::var::{Var, VarConfig};
use nextscale_config::{Node, Variant};
use nextscale_core::{Alphabet, Dtype, ScaleSchedule};
use nextscale_tokenizers::vq::{MultiScaleVq, VqvaeConfig};
use nextscale_weights::{LoadError, WeightFile};
use serde::Serialize;

use crate::shipped::Shipped;
use crate::{Error, Model, Result};

/// The `model` of a config.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelSpec {
    /// A VAR tokenizer and transformer, upstream's files or ones in their form.
    Var {
        /// The tokenizer's file.
        tokenizer: PathBuf,
        /// The transformer's file.
        backbone: PathBuf,
        /// The scales; by default what the files say, else the published list with as many positions.
        scales: Option<ScaleSchedule>,
        /// Groups of the tokenizer's norms; by default what its file says, else 32.
        norm_groups: Option<usize>,
    },
    /// A model that is part of the program.
    Shipped(String),
}

const KINDS: [&str; 2] = ["Var", "Shipped"];

impl ModelSpec {
    /// Reads it; paths are relative to `folder`.
    pub(super) fn read(node: &Node, folder: &Path) -> Result<Self> {
        let variant: Variant<'_> = node.variant()?;
        match variant.name() {
            "Var" => {
                let mut fields = variant.fields()?;
                let path = |text: String| folder.join(text);
                let spec = Self::Var {
                    tokenizer: fields.take("tokenizer").map(path)?,
                    backbone: fields.take("backbone").map(path)?,
                    scales: fields.take_option("scales")?,
                    norm_groups: fields.take_option("norm_groups")?,
                };
                fields.finish()?;
                Ok(spec)
            }
            "Shipped" => {
                let name: String = variant.decode()?;
                if Shipped::find(&name).is_none() {
                    let help = format!("there is: {}; or give files with `Var(..)`", Shipped::names());
                    let error = node.error(format!("no model `{name}` is shipped with this program"));
                    return Err(error.with_help(help).into());
                }
                Ok(Self::Shipped(name))
            }
            _ => Err(variant.unknown("model", KINDS).into()),
        }
    }
}

/// A model whose headers have been read, and nothing else.
pub struct OpenModel {
    tokenizer: WeightFile,
    backbone: WeightFile,
    var: VarConfig,
    norm_groups: usize,
    /// The names of its classes, where it has them.
    pub class_names: Option<Vec<String>>,
    /// What tells its weights from others.
    pub fingerprint: String,
    /// The model as a resolved config says it.
    pub(super) resolved: Node,
}

impl OpenModel {
    /// The model of a config, whatever else stands in it; paths are relative to `folder`.
    ///
    /// # Errors
    /// If `model` is missing or wrong, or as its files are.
    pub fn of_config(config: &Node, folder: &Path) -> Result<Self> {
        let node = config.fields()?.node("model")?;
        Self::open(&ModelSpec::read(node, folder)?, node)
    }

    /// Reads the headers, and checks every tensor's name and shape.
    ///
    /// # Errors
    /// If a file is missing, corrupt or of another model, or the config's scales do not fit; the latter point at `node`.
    pub(super) fn open(spec: &ModelSpec, node: &Node) -> Result<Self> {
        let (tokenizer, backbone, scales, groups) = match spec {
            ModelSpec::Var { tokenizer, backbone, scales, norm_groups } => {
                (WeightFile::open(tokenizer)?, WeightFile::open(backbone)?, scales.clone(), *norm_groups)
            }
            ModelSpec::Shipped(name) => {
                let (tokenizer, backbone) = shipped(name)?.open()?;
                (tokenizer, backbone, None, None)
            }
        };
        let place = |field: &str| node.get(field).unwrap_or(node);
        let var =
            VarConfig::infer(&backbone, scales.as_ref()).map_err(|e| of_backbone(e, place("scales")))?;
        var.expected().check(&backbone.rooted("pos_1LC")?)?;
        let vqvae = VqvaeConfig::infer(&tokenizer, groups)?;
        vqvae.check(&var.schedule).map_err(|error| place("norm_groups").error(error.to_string()))?;
        if (vqvae.vocabulary, vqvae.latent_channels) != (var.vocabulary, var.feature_channels) {
            return Err(Error::Usage(format!(
                "the tokenizer has {} codes of {} channels and the backbone was made for {} of {}; take both from one \
                 model",
                vqvae.vocabulary, vqvae.latent_channels, var.vocabulary, var.feature_channels
            )));
        }
        let fingerprint = match spec {
            ModelSpec::Var { tokenizer, backbone, .. } => {
                [super::fingerprint::of_file(tokenizer)?, super::fingerprint::of_file(backbone)?].join("-")
            }
            ModelSpec::Shipped(name) => super::fingerprint::of_bytes(&shipped(name)?.bytes()),
        };
        let class_names = match spec {
            ModelSpec::Shipped(name) => {
                Some(shipped(name)?.class_names.iter().map(ToString::to_string).collect())
            }
            ModelSpec::Var { .. } => {
                let names = backbone.metadata().get("class_names");
                names.map(|names| names.lines().map(str::to_owned).collect())
            }
        };
        let resolved = resolved(spec, &var, vqvae.norm_groups)?;
        Ok(Self {
            tokenizer,
            backbone,
            var,
            norm_groups: vqvae.norm_groups,
            class_names,
            fingerprint,
            resolved,
        })
    }

    /// The scales.
    pub fn schedule(&self) -> &ScaleSchedule {
        &self.var.schedule
    }

    /// What its tokens mean.
    pub fn alphabet(&self) -> Alphabet {
        Alphabet::codes(self.var.vocabulary)
    }

    /// Classes, the null class not counted.
    pub fn classes(&self) -> usize {
        self.var.classes
    }

    /// Reads the weights.
    ///
    /// # Errors
    /// If a file cannot be read any more, or the device cannot compute in this type.
    pub fn load(&self, device: &Device, dtype: Dtype, with_encoder: bool) -> Result<Model> {
        let schedule = self.schedule().clone();
        let tokenizer =
            MultiScaleVq::load(&self.tokenizer, schedule, self.norm_groups, with_encoder, device)?;
        let tokenizer = tokenizer.decoding_in(dtype);
        let backbone = Var::load_to_generate(&self.backbone, &self.var, device, dtype)?;
        let conditioner = Arc::new(backbone.conditioner());
        Ok(Model::new(Arc::new(tokenizer), Arc::new(backbone), conditioner)?)
    }
}

fn shipped(name: &str) -> Result<&'static Shipped> {
    Shipped::find(name).ok_or_else(|| Error::Usage(format!("no model `{name}` is shipped with this program")))
}

fn of_backbone(error: LoadError, place: &Node) -> Error {
    match error {
        LoadError::Weights(error) => Error::Weights(error),
        LoadError::Settings(error) => place.error(error.to_string()).into(),
    }
}

fn resolved(spec: &ModelSpec, var: &VarConfig, norm_groups: usize) -> Result<Node> {
    #[derive(Serialize)]
    #[serde(rename = "Model")]
    enum Written<'a> {
        Var { tokenizer: &'a Path, backbone: &'a Path, scales: &'a ScaleSchedule, norm_groups: usize },
        Shipped(&'a str),
    }
    // Absolute, so that the config in a run folder can be run from there.
    let absolute = |path: &Path| std::path::absolute(path).map_err(Error::io("find", path));
    Ok(match spec {
        ModelSpec::Var { tokenizer, backbone, .. } => Node::from_serialize(&Written::Var {
            tokenizer: &absolute(tokenizer)?,
            backbone: &absolute(backbone)?,
            scales: &var.schedule,
            norm_groups,
        })?,
        ModelSpec::Shipped(name) => Node::from_serialize(&Written::Shipped(name))?,
    })
}
