use std::path::Path;
use std::sync::Arc;

use nextscale_backbones::var::{Var, VarConfig};
use nextscale_config::Node;
use nextscale_core::{Alphabet, Pass, ScaleSchedule};
use nextscale_generate::Model;
use nextscale_tokenizers::vq::{MultiScaleVq, VqvaeConfig};
use nextscale_weights::{LoadError, WeightFile};

use crate::{Error, LoadOptions, ModelFacts, OpenModel, Result, Takes};

/// The two files of a model, with headers read.
pub(super) struct Files {
    pub tokenizer: WeightFile,
    pub backbone: WeightFile,
}

impl Files {
    pub fn on_disk(tokenizer: &Path, backbone: &Path) -> Result<Self> {
        Ok(Self { tokenizer: WeightFile::open(tokenizer)?, backbone: WeightFile::open(backbone)? })
    }
}

/// A model of which only the headers have been read.
pub(super) struct OpenVar {
    files: Files,
    var: VarConfig,
    pub norm_groups: usize,
    pub facts: ModelFacts,
}

impl OpenVar {
    /// Checks every tensor's name and shape. The caller supplies the model's name and the fingerprint of its
    /// weights. Errors about settings point at `node`.
    pub fn new(
        files: Files,
        scales: Option<&ScaleSchedule>,
        groups: Option<usize>,
        node: &Node,
    ) -> Result<Self> {
        let Files { tokenizer, backbone } = &files;
        let place = |field: &str| node.get(field).unwrap_or(node);
        let var = VarConfig::infer(backbone, scales).map_err(|error| of_backbone(error, place("scales")))?;
        var.expected().check(&backbone.rooted("pos_1LC")?)?;
        let vqvae = VqvaeConfig::infer(tokenizer, groups)?;
        vqvae.check(&var.schedule).map_err(|error| place("norm_groups").error(error.to_string()))?;
        if (vqvae.vocabulary, vqvae.latent_channels) != (var.vocabulary, var.feature_channels) {
            return Err(Error::Usage(format!(
                "the tokenizer has {} codes of {} channels and the backbone was made for {} of {}; take both from one \
                 model",
                vqvae.vocabulary, vqvae.latent_channels, var.vocabulary, var.feature_channels
            )));
        }
        let class_names = backbone.metadata().get("class_names");
        let class_names = class_names.map(|names| names.lines().map(str::to_owned).collect());
        let takes = Takes { classes: var.classes, class_names, prompts: false };
        let facts = ModelFacts {
            schedule: var.schedule.clone(),
            alphabet: Alphabet::codes(var.vocabulary),
            takes,
            fingerprint: String::new(),
            tokenizer: tokenizer.fingerprint()?,
            resolved: node.clone(),
            words: String::new(),
        };
        Ok(Self { norm_groups: vqvae.norm_groups, facts, var, files })
    }
}

impl OpenModel for OpenVar {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn runs(&self, pass: &Pass) -> Result<()> {
        Ok(self.var.runs(pass)?)
    }

    fn sizes(&self) -> String {
        super::sizes(&self.var)
    }

    fn load(&self, options: &LoadOptions<'_>) -> Result<Model> {
        let LoadOptions { device, dtype, with_encoder, .. } = *options;
        dtype.check(device)?;
        let schedule = self.schedule().clone();
        let tokenizer =
            MultiScaleVq::load(&self.files.tokenizer, schedule, self.norm_groups, with_encoder, device)?;
        let tokenizer = tokenizer.decoding_in(dtype);
        let backbone = Var::load_to_generate(&self.files.backbone, &self.var, device, dtype)?;
        let conditioner = Arc::new(backbone.conditioner());
        Ok(Model::new(Arc::new(tokenizer), Arc::new(backbone), conditioner)?)
    }
}

fn of_backbone(error: LoadError, place: &Node) -> Error {
    match error {
        LoadError::Weights(error) => Error::Weights(error),
        LoadError::Settings(error) => place.error(error.to_string()).into(),
    }
}
