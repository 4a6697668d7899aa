//! Names in a config to rules, priors and samplers; open to other crates.
//!
//! ```
//! use nextscale_pipeline::Registry;
//! use nextscale_guidance::{Cfg, Conditional};
//!
//! // A thing's settings are said in its own struct, so that adding it takes its type only.
//! let registry = Registry::new().with_rule::<Conditional>().with_rule::<Cfg>();
//! assert!(registry.rules().iter().any(|entry| entry.description.name == "Cfg"));
//! ```

mod conformance;
mod reference;
mod schema;
mod standard;

pub use conformance::check_all;
pub use nextscale_config::settings::{Built, Entry, Measured};
pub(crate) use nextscale_config::settings::{named, plain};
pub use reference::markdown;
pub use schema::schema;

use std::path::Path;
use std::sync::Arc;

use nextscale_config::Node;
use nextscale_config::settings::{Kind, Names, Settings};
use nextscale_guidance::Guidance;
use nextscale_priors::Prior;

use crate::{Error, Result};
use nextscale_generate::sampler::Sampler;

/// The names of rules, priors and samplers, with what builds them.
#[derive(Clone, Default)]
pub struct Registry(Names);

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with paths in configs relative to `folder`.
    #[must_use]
    pub fn in_folder(self, folder: &Path) -> Self {
        Self(self.0.in_folder(folder))
    }

    /// Adds a guidance rule, or replaces the one of its name.
    #[must_use]
    pub fn with_rule<T: Guidance + Settings>(self) -> Self {
        self.with(Entry::of(|rule: T| Arc::new(rule) as Arc<dyn Guidance>))
    }

    /// Adds a prior, or replaces the one of its name.
    #[must_use]
    pub fn with_prior<T: Prior + Settings>(self) -> Self {
        self.with(Entry::of(|prior: T| Arc::new(prior) as Arc<dyn Prior>))
    }

    /// Adds a sampler, or replaces the one of its name.
    #[must_use]
    pub fn with_sampler<T: Sampler + Settings + 'static>(self) -> Self {
        self.with(Entry::of(|sampler: T| Arc::new(sampler) as Arc<dyn Sampler>))
    }

    /// Adds a thing of any kind, as its entry describes and builds it.
    #[must_use]
    pub fn with<K: Kind + ?Sized>(mut self, entry: Entry<K>) -> Self {
        self.0.add(entry);
        self
    }

    /// Every guidance rule, in the order in which they were added.
    pub fn rules(&self) -> &[Entry<dyn Guidance>] {
        self.0.entries()
    }

    /// Every prior, in the order in which they were added.
    pub fn priors(&self) -> &[Entry<dyn Prior>] {
        self.0.entries()
    }

    /// Every sampler, in the order in which they were added.
    pub fn samplers(&self) -> &[Entry<dyn Sampler>] {
        self.0.entries()
    }

    /// The guidance rule that a config names.
    ///
    /// # Errors
    /// An unknown name or field, a wrong type or value, with the place in the config.
    pub fn rule(&self, node: &Node) -> Result<Built<dyn Guidance>> {
        Ok(self.0.build(node)?)
    }

    /// The prior that a config names.
    ///
    /// # Errors
    /// As [`rule`](Self::rule).
    pub fn prior(&self, node: &Node) -> Result<Built<dyn Prior>> {
        Ok(self.0.build(node)?)
    }

    /// The sampler that a config names.
    ///
    /// # Errors
    /// As [`rule`](Self::rule).
    pub fn sampler(&self, node: &Node) -> Result<Built<dyn Sampler>> {
        Ok(self.0.build(node)?)
    }

    /// The names of every kind.
    pub fn names(&self) -> &Names {
        &self.0
    }
}

/// A setting that a builder refused, with the place in the config.
pub(crate) fn placed(error: Error, node: &Node) -> Error {
    match error {
        Error::Core(core @ nextscale_core::Error::Setting { .. }) => node.error(core.to_string()).into(),
        other => other,
    }
}
