//! What a family trains, selected by the name in a training's config.

use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use nextscale_config::{Node, Value};
use nextscale_train::{Options, Outcome};
use serde::de::DeserializeOwned;

use crate::Result;

/// A part of a model that is trained separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModelPart {
    /// Images to tokens and back.
    Tokenizer,
    /// The tokens of each scale from those of earlier scales.
    Backbone,
}

type Run = Arc<dyn Fn(&Node, &Path, &Options, &Device) -> Result<Outcome> + Send + Sync>;

/// How a family trains a part of its models.
///
/// A config selects it by the name of its `model`: `model: Var(depth: 6, ..)` selects the architecture `Var`.
/// Without a name, it is the first family that trains the part.
#[derive(Clone)]
pub struct Architecture {
    /// What is trained.
    pub part: ModelPart,
    /// Its name in configs.
    pub name: &'static str,
    run: Run,
}

impl Architecture {
    /// A training with the config `C`. `train` receives the config, the folder for relative paths in it, the
    /// run's command-line options, and the device, which is not an autodiff device.
    pub fn new<C: DeserializeOwned>(
        part: ModelPart,
        name: &'static str,
        train: impl Fn(C, &Path, &Options, &Device) -> nextscale_train::Result<Outcome> + Send + Sync + 'static,
    ) -> Self {
        let run: Run = Arc::new(move |node, folder, options, device| {
            let config = without_name(node, name)?.decode()?;
            Ok(train(config, folder, options, device)?)
        });
        Self { part, name, run }
    }

    /// Decodes a config and trains accordingly.
    ///
    /// # Errors
    /// Those of the config, with the place in it, and those of the run.
    pub fn train(&self, config: &Node, folder: &Path, options: &Options, device: &Device) -> Result<Outcome> {
        (self.run)(config, folder, options, device)
    }
}

/// The architecture that a training's config names, among those that train the part.
///
/// # Errors
/// If it names another, with the place and the available ones.
pub fn architecture(
    part: ModelPart,
    config: &Node,
    all: impl IntoIterator<Item = Architecture>,
) -> nextscale_config::Result<Architecture> {
    let mut of_part = all.into_iter().filter(|architecture| architecture.part == part).peekable();
    let model = config.get("model").ok();
    match model.filter(|model| model.name().is_some()) {
        None => of_part.next().ok_or_else(|| config.error("no model family here trains this")),
        Some(model) => {
            let variant = model.variant()?;
            let all: Vec<Architecture> = of_part.collect();
            let found = all.iter().find(|architecture| architecture.name == variant.name()).cloned();
            found.ok_or_else(|| variant.unknown("architecture", all.iter().map(|known| known.name)))
        }
    }
}

/// The config without the name of its `model`, so that the family's own type need not have that name.
fn without_name(config: &Node, name: &str) -> nextscale_config::Result<Node> {
    let Ok(model) = config.get("model") else { return Ok(config.clone()) };
    if model.name() != Some(name) {
        return Ok(config.clone());
    }
    let mut model = model.clone();
    match &mut model.value {
        Value::Struct { name, .. } | Value::Tuple { name, .. } => *name = None,
        other => *other = Value::Unit,
    }
    let mut config = config.clone();
    config.set_node("model", model)?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nextscale_config::Document;
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sizes {
        width: usize,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Training {
        steps: u64,
        model: Sizes,
    }

    fn architectures() -> Vec<Architecture> {
        let of = |part, name, plus| {
            Architecture::new(part, name, move |config: Training, _, _, _| {
                let step = config.steps + config.model.width as u64 + plus;
                Ok(Outcome { step, finished: true, evaluation: Vec::new(), seconds: [0.0; 3] })
            })
        };
        vec![
            of(ModelPart::Backbone, "First", 0),
            of(ModelPart::Tokenizer, "First", 1000),
            of(ModelPart::Backbone, "Second", 2000),
        ]
    }

    fn run(part: ModelPart, text: &str) -> Result<u64> {
        let node = Document::parse("train.ron", text)?;
        let found = architecture(part, &node, architectures())?;
        let options = Options::new("");
        Ok(found.train(&node, Path::new(""), &options, &Device::flex())?.step)
    }

    #[test]
    fn the_name_of_the_model_chooses_the_architecture_and_none_is_the_first() {
        let backbone = |text| run(ModelPart::Backbone, text);
        assert_eq!(backbone("(steps: 1, model: (width: 20))").unwrap(), 21);
        assert_eq!(backbone("(steps: 1, model: First(width: 20))").unwrap(), 21);
        assert_eq!(backbone("(steps: 1, model: Second(width: 20))").unwrap(), 2021);
        assert_eq!(run(ModelPart::Tokenizer, "(steps: 1, model: (width: 20))").unwrap(), 1021);
        for (text, told) in [
            ("(steps: 1, model: Secnd(width: 20))", "unknown architecture `Secnd`"),
            ("(steps: 1, model: Second(widht: 20))", "unknown field `widht`"),
            ("(steps: 1, model: Second)", "missing field `width`"),
            ("(steps: 1)", "missing field `model`"),
        ] {
            let error = backbone(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
        let unknown = run(ModelPart::Tokenizer, "(steps: 1, model: Second(width: 1))").unwrap_err();
        assert!(unknown.to_string().contains("unknown architecture `Second`"), "{unknown}");
    }
}
