//! What `nextscale train` can train; open to other crates.

use std::path::Path;
use std::sync::Arc;

use clap::builder::{PossibleValue, PossibleValuesParser};
use serde::de::DeserializeOwned;

use super::Failure;
use crate::burn::tensor::Device;
use crate::config::Node;
use crate::families::ModelPart;
use crate::pipeline::Registry;
use crate::train::config::TrainClassifier;
use crate::train::{self, Options, Outcome, train_classifier};

/// Decodes a config and trains accordingly.
type Run = Arc<dyn Fn(&Registry, &Node, &Path, &Options, &Device) -> Result<Outcome, Failure> + Send + Sync>;

#[derive(Clone)]
struct Entry {
    name: &'static str,
    about: &'static str,
    run: Run,
}

/// The names that `nextscale train` accepts, with what they train.
///
/// ```
/// use nextscale::cli::{Program, Trainings};
/// use nextscale::pipeline::Registry;
/// use nextscale::train::{config::TrainClassifier, train_classifier};
///
/// let trainings = Trainings::standard().with(
///     "short-classifier",
///     "A classifier in ten steps",
///     |config: TrainClassifier, folder, options, device| {
///         let config = TrainClassifier { steps: 10, ..config.relative_to(folder) };
///         train_classifier(&config, options, device)
///     },
/// );
/// let program = Program::new(Registry::standard()).with_trainings(trainings);
/// ```
#[derive(Clone, Default)]
pub struct Trainings(Vec<Entry>);

impl Trainings {
    /// No trainings.
    pub fn new() -> Self {
        Self::default()
    }

    /// The trainings of nextscale itself.
    pub fn standard() -> Self {
        Self::new()
            .with(
                "classifier",
                "A classifier, for a tokenizer's perceptual loss and for `evaluate --classifier`",
                |config: TrainClassifier, folder, options, device| {
                    train_classifier(&config.relative_to(folder), options, device)
                },
            )
            .with_part("tokenizer", "Images to token grids and back", ModelPart::Tokenizer)
            .with_part("backbone", "The model that predicts the token grids", ModelPart::Backbone)
    }

    /// The same with the trainings of a part of models by their families: the config's `model` names the
    /// family.
    fn with_part(self, name: &'static str, about: &'static str, part: ModelPart) -> Self {
        let run: Run = Arc::new(move |registry, node, folder, options, device| {
            Ok(registry.architecture(part, node)?.train(node, folder, options, device)?)
        });
        self.with_run(name, about, run)
    }

    /// The same with another training, replacing one of that name. `about` is its line in the help of
    /// `nextscale train`. `train` receives the config, with `--set` and `--seed` applied, the folder for
    /// relative paths in it, the run's command-line options, and the device, which is not an autodiff device.
    #[must_use]
    pub fn with<C: DeserializeOwned>(
        self,
        name: &'static str,
        about: &'static str,
        train: impl Fn(C, &Path, &Options, &Device) -> train::Result<Outcome> + Send + Sync + 'static,
    ) -> Self {
        let run: Run = Arc::new(move |_, node, folder, options, device| {
            let config = node.decode().map_err(Failure::usage)?;
            train(config, folder, options, device).map_err(Failure::from)
        });
        self.with_run(name, about, run)
    }

    fn with_run(mut self, name: &'static str, about: &'static str, run: Run) -> Self {
        self.0.retain(|entry| entry.name != name);
        self.0.push(Entry { name, about, run });
        self
    }

    /// The names, for the command line.
    pub(super) fn parser(&self) -> PossibleValuesParser {
        let values = self.0.iter().map(|entry| PossibleValue::new(entry.name).help(entry.about));
        PossibleValuesParser::new(values.collect::<Vec<_>>())
    }

    /// Runs the training `name`.
    pub(super) fn run(
        &self,
        name: &str,
        registry: &Registry,
        (config, folder): (&Node, &Path),
        options: &Options,
        device: &Device,
    ) -> Result<Outcome, Failure> {
        let entry = self.0.iter().find(|entry| entry.name == name);
        let entry = entry.ok_or_else(|| Failure::Usage(miette::miette!("unknown training `{name}`")))?;
        (entry.run)(registry, config, folder, options, device)
    }
}
