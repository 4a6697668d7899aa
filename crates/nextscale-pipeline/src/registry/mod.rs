//! Names in a config to rules, priors and samplers; open to other crates.
//!
//! ```
//! use std::sync::Arc;
//! use nextscale_pipeline::Registry;
//! use nextscale_priors::Zero;
//!
//! let registry = Registry::standard()
//!     .with_prior("Nothing", "predicts nothing", |_| Ok(Arc::new(Zero)));
//! assert!(registry.priors().any(|entry| entry.name == "Nothing"));
//! ```

mod settings;
mod standard;

pub use settings::Settings;
pub(crate) use settings::{named, plain};

use std::sync::Arc;

use nextscale_config::Node;
use nextscale_guidance::Guidance;
use nextscale_priors::Prior;

use crate::sampler::Sampler;
use crate::{Error, Result};

/// Builds a thing from the settings after its name.
type Build<T> = Arc<dyn Fn(&mut Settings<'_>) -> Result<Arc<T>> + Send + Sync>;

/// A name that configs may use.
pub struct Entry<T: ?Sized> {
    /// The name.
    pub name: String,
    /// What it is, in one line.
    pub about: String,
    build: Build<T>,
}

// Derived, it would ask for `T: Clone`.
impl<T: ?Sized> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), about: self.about.clone(), build: Arc::clone(&self.build) }
    }
}

/// A thing and the config that it was built from with every default filled in.
#[derive(Debug, Clone)]
pub struct Built<T: ?Sized> {
    /// The thing.
    pub value: Arc<T>,
    /// Its resolved config.
    pub resolved: Node,
}

/// The names of rules, priors and samplers, with their builders.
#[derive(Clone, Default)]
pub struct Registry {
    rules: Vec<Entry<dyn Guidance>>,
    priors: Vec<Entry<dyn Prior>>,
    samplers: Vec<Entry<dyn Sampler>>,
}

macro_rules! kind {
    ($kind:literal, $with:ident, $list:ident, $one:ident, $thing:ty) => {
        #[doc = concat!("Adds a ", $kind, ", or replaces the one of that name.")]
        pub fn $with(
            mut self,
            name: &str,
            about: &str,
            build: impl Fn(&mut Settings<'_>) -> Result<Arc<$thing>> + Send + Sync + 'static,
        ) -> Self {
            let entry = Entry { name: name.into(), about: about.into(), build: Arc::new(build) };
            add(&mut self.$list, entry);
            self
        }

        #[doc = concat!("Every ", $kind, ", in the order in which they were added.")]
        pub fn $list(&self) -> impl Iterator<Item = &Entry<$thing>> {
            self.$list.iter()
        }

        #[doc = concat!("The ", $kind, " that a config names.")]
        ///
        /// # Errors
        /// An unknown name or field, a wrong type or value, with the place in the config.
        pub fn $one(&self, node: &Node) -> Result<Built<$thing>> {
            build(self, $kind, &self.$list, node)
        }
    };
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    kind!("guidance rule", with_rule, rules, rule, dyn Guidance);
    kind!("prior", with_prior, priors, prior, dyn Prior);
    kind!("sampler", with_sampler, samplers, sampler, dyn Sampler);
}

fn add<T: ?Sized>(list: &mut Vec<Entry<T>>, entry: Entry<T>) {
    match list.iter_mut().find(|known| known.name == entry.name) {
        Some(known) => *known = entry,
        None => list.push(entry),
    }
}

fn build<T: ?Sized>(registry: &Registry, kind: &str, list: &[Entry<T>], node: &Node) -> Result<Built<T>> {
    let variant = node.variant()?;
    let Some(entry) = list.iter().find(|entry| entry.name == variant.name()) else {
        return Err(variant.unknown(kind, list.iter().map(|entry| entry.name.as_str())).into());
    };
    let mut settings = Settings::new(registry, node)?;
    let value = (entry.build)(&mut settings).map_err(|error| placed(error, node))?;
    Ok(Built { value, resolved: settings.finish()? })
}

/// A setting that a builder refused, with the place in the config.
pub(crate) fn placed(error: Error, node: &Node) -> Error {
    match error {
        Error::Core(core @ nextscale_core::Error::Setting { .. }) => node.error(core.to_string()).into(),
        other => other,
    }
}
