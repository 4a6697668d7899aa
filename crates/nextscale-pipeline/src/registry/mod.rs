//! From names in a config to rules, priors, samplers and models; open to other crates.
//!
//! ```
//! use nextscale_pipeline::Registry;
//! use nextscale_guidance::{Cfg, Conditional};
//!
//! // A rule states its settings in its struct, so its type is enough to add it.
//! let registry = Registry::new().with_rule::<Conditional>().with_rule::<Cfg>();
//! assert!(registry.rules().iter().any(|entry| entry.description.name == "Cfg"));
//! ```

mod addresses;
mod conformance;
mod named;
mod reference;
mod schema;
mod standard;

pub use conformance::check_all;
pub use named::Hub;
pub use nextscale_config::settings::{Built, Entry, Measured};
pub(crate) use nextscale_config::settings::{named, plain};
pub use reference::markdown;
pub use schema::schema;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use nextscale_config::Node;
use nextscale_config::settings::{Kind, Names, Settings};
use nextscale_families::{Architecture, ModelFamily, ModelPart, ModelSource, OpenModel, Published, training};
use nextscale_guidance::Guidance;
use nextscale_priors::Prior;
use nextscale_tokenizers::Tokenizer;
use nextscale_weights::WeightFile;

use crate::{Error, Result};
use nextscale_generate::sampler::Sampler;

/// The names of rules, priors, samplers and models, with the functions that build them.
#[derive(Clone, Default)]
pub struct Registry {
    names: Names,
    families: Vec<(&'static str, Arc<dyn ModelFamily>)>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with paths in configs relative to `folder`.
    #[must_use]
    pub fn in_folder(self, folder: &Path) -> Self {
        Self { names: self.names.in_folder(folder), ..self }
    }

    /// Adds a guidance rule, replacing one of the same name.
    #[must_use]
    pub fn with_rule<T: Guidance + Settings>(self) -> Self {
        self.with(Entry::of(|rule: T| Arc::new(rule) as Arc<dyn Guidance>))
    }

    /// Adds a prior, replacing one of the same name.
    #[must_use]
    pub fn with_prior<T: Prior + Settings>(self) -> Self {
        self.with(Entry::of(|prior: T| Arc::new(prior) as Arc<dyn Prior>))
    }

    /// Adds a sampler, replacing one of the same name.
    #[must_use]
    pub fn with_sampler<T: Sampler + Settings + 'static>(self) -> Self {
        self.with(Entry::of(|sampler: T| Arc::new(sampler) as Arc<dyn Sampler>))
    }

    /// Adds a model family, replacing one of the same name.
    #[must_use]
    pub fn with_family(mut self, family: impl ModelFamily + 'static) -> Self {
        let (entry, family) = (family.entry(), Arc::new(family));
        let name = entry.description.name;
        match self.families.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = family,
            None => self.families.push((name, family)),
        }
        self.with(entry)
    }

    /// Adds anything of any kind, as its entry describes and builds it.
    #[must_use]
    pub fn with<K: Kind + ?Sized>(mut self, entry: Entry<K>) -> Self {
        self.names.add(entry);
        self
    }

    /// Every guidance rule, in the order they were added.
    pub fn rules(&self) -> &[Entry<dyn Guidance>] {
        self.names.entries()
    }

    /// Every prior, in the order they were added.
    pub fn priors(&self) -> &[Entry<dyn Prior>] {
        self.names.entries()
    }

    /// Every sampler, in the order they were added.
    pub fn samplers(&self) -> &[Entry<dyn Sampler>] {
        self.names.entries()
    }

    /// Every name that a config's `model` may have, in the order they were added: families and other sources
    /// of models.
    pub fn models(&self) -> &[Entry<dyn ModelSource>] {
        self.names.entries()
    }

    /// Every model family, in the order they were added.
    pub fn families(&self) -> impl Iterator<Item = &dyn ModelFamily> {
        self.families.iter().map(|(_, family)| &**family)
    }

    /// Every model that was published under a short name, with the name of its family.
    pub fn published(&self) -> impl Iterator<Item = (&'static str, &'static Published)> {
        self.families.iter().flat_map(|(name, family)| family.published().iter().map(|model| (*name, model)))
    }

    /// The addresses (`hf://OWNER/NAME/FILE`) of the files of a config's `model`, in their order; none of a
    /// model whose files are given by paths.
    ///
    /// # Errors
    /// As [`rule`](Self::rule).
    pub fn addresses(&self, node: &Node) -> Result<Vec<String>> {
        named::addresses(self, node)
    }

    /// Downloads what is missing of a file or folder by its address, and returns its path.
    ///
    /// # Errors
    /// If it cannot be had, or the program was built without the feature `hub`.
    pub fn fetch(&self, address: &str) -> Result<PathBuf> {
        let place = Node::from_serialize(address)?;
        Ok(addresses::fetch(address, &place)?.0)
    }

    /// Builds the guidance rule that a config names.
    ///
    /// # Errors
    /// An unknown name or field, a wrong type or value, with the place in the config.
    pub fn rule(&self, node: &Node) -> Result<Built<dyn Guidance>> {
        Ok(self.names.build(node)?)
    }

    /// Builds the prior that a config names.
    ///
    /// # Errors
    /// As [`rule`](Self::rule).
    pub fn prior(&self, node: &Node) -> Result<Built<dyn Prior>> {
        Ok(self.names.build(node)?)
    }

    /// Builds the sampler that a config names.
    ///
    /// # Errors
    /// As [`rule`](Self::rule).
    pub fn sampler(&self, node: &Node) -> Result<Built<dyn Sampler>> {
        Ok(self.names.build(node)?)
    }

    /// The model that a config's `model` names, without looking at any file: a family's settings, with paths
    /// or addresses of files (`hf://OWNER/NAME/FILE`), or the short name of a published model. What has an
    /// address is downloaded when the model is opened.
    ///
    /// # Errors
    /// As [`rule`](Self::rule).
    pub fn model(&self, node: &Node) -> Result<Arc<dyn ModelSource>> {
        named::model(self, node)
    }

    /// The model of a config, with headers read, whatever else the config has.
    ///
    /// # Errors
    /// If `model` is missing or wrong, and those of its files.
    pub fn open_model(&self, config: &Node) -> Result<Arc<dyn OpenModel>> {
        let node = config.fields()?.node("model")?;
        self.model(node)?.open(node)
    }

    /// A model of these sizes with random weights, by the first family that knows them.
    ///
    /// # Errors
    /// If no family does, or they are invalid.
    pub fn random(&self, sizes: &str) -> Result<Arc<dyn OpenModel>> {
        let made = self.families().find_map(|family| family.random(sizes));
        let none = || Error::Usage(format!("no model family makes a random model of the sizes `{sizes}`"));
        made.ok_or_else(none)?
    }

    /// The tokenizer in a weight file, with its encoder, for images of `(rows, columns)` pixels.
    ///
    /// # Errors
    /// If no family has such a tokenizer, or it cannot be read.
    pub fn open_tokenizer(
        &self,
        file: &WeightFile,
        image: (usize, usize),
        device: &Device,
    ) -> Result<Arc<dyn Tokenizer>> {
        let found = self.families().find_map(|family| family.tokenizer(file, image, device));
        let none = || {
            let message = match self.recognise(file) {
                Ok(words) => format!("{} is not a tokenizer: {words}", file.label()),
                Err(message) => message,
            };
            Error::Usage(message)
        };
        found.ok_or_else(none)?
    }

    /// A description of a weight file, of whichever family. Every tensor's name and shape has then been
    /// checked.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn recognise(&self, file: &WeightFile) -> Result<String, String> {
        self.families().find_map(|family| family.recognise(file)).unwrap_or_else(|| {
            let marks: Vec<String> = self.families().flat_map(ModelFamily::marks).collect();
            let looked = marks.join(" nor ");
            Err(format!("{} is not a usable model: neither {looked}", file.label()))
        })
    }

    /// How a training trains a part of a model: by the architecture that the config's `model` names, or the
    /// first.
    ///
    /// # Errors
    /// If no family trains the named architecture.
    pub fn architecture(&self, part: ModelPart, config: &Node) -> Result<Architecture> {
        let all = self.families().flat_map(ModelFamily::architectures);
        Ok(training::architecture(part, config, all)?)
    }

    /// The names of every kind.
    pub fn names(&self) -> &Names {
        &self.names
    }
}

/// A setting that a builder refused, with its place in the config.
pub(crate) fn placed(error: Error, node: &Node) -> Error {
    match error {
        Error::Core(core @ nextscale_core::Error::Setting { .. }) => node.refused(core.to_string()).into(),
        other => other,
    }
}
