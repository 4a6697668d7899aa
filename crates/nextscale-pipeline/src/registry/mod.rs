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

mod measured;
mod priors;
mod reference;
mod rules;
mod samplers;
mod settings;
mod standard;

pub use measured::Measured;
pub use reference::markdown;
pub use settings::Settings;
pub(crate) use settings::{named, plain};

use std::path::{Path, PathBuf};
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
    /// One that is written with nothing but what must be given.
    pub example: Option<String>,
    /// Its settings.
    pub settings: Vec<Described>,
    build: Build<T>,
}

/// A setting, for the reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// What it is and what it may be, in one line.
    pub about: String,
}

// Derived, it would ask for `T: Clone`.
impl<T: ?Sized> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self {
            name: self.name.clone(),
            about: self.about.clone(),
            example: self.example.clone(),
            settings: self.settings.clone(),
            build: Arc::clone(&self.build),
        }
    }
}

/// A thing and the config that it was built from with every default filled in.
#[derive(Debug, Clone)]
pub struct Built<T: ?Sized> {
    /// The thing.
    pub value: Arc<T>,
    /// Its resolved config.
    pub resolved: Node,
    /// What in it was measured on a model and fits no other.
    pub measured: Vec<Measured>,
}

/// The names of rules, priors and samplers, with their builders.
#[derive(Clone, Default)]
pub struct Registry {
    rules: Vec<Entry<dyn Guidance>>,
    priors: Vec<Entry<dyn Prior>>,
    samplers: Vec<Entry<dyn Sampler>>,
    folder: PathBuf,
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
            let entry = Entry {
                name: name.into(),
                about: about.into(),
                example: None,
                settings: Vec::new(),
                build: Arc::new(build),
            };
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

    /// The same, with paths in configs relative to `folder`.
    #[must_use]
    pub fn in_folder(self, folder: &Path) -> Self {
        Self { folder: folder.into(), ..self }
    }

    /// Describes the settings of what has this name, for the reference: an example with nothing but what must be given, and
    /// each setting with what it is.
    #[must_use]
    pub fn describe(mut self, name: &str, example: &str, settings: &[(&str, &str)]) -> Self {
        let settings: Vec<Described> = settings
            .iter()
            .map(|&(name, about)| Described { name: name.into(), about: about.into() })
            .collect();
        described(&mut self.rules, name, example, &settings);
        described(&mut self.priors, name, example, &settings);
        described(&mut self.samplers, name, example, &settings);
        self
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

fn described<T: ?Sized>(list: &mut [Entry<T>], name: &str, example: &str, settings: &[Described]) {
    for entry in list.iter_mut().filter(|entry| entry.name == name) {
        entry.example = Some(example.into());
        entry.settings = settings.to_vec();
    }
}

fn build<T: ?Sized>(registry: &Registry, kind: &str, list: &[Entry<T>], node: &Node) -> Result<Built<T>> {
    let variant = node.variant()?;
    let Some(entry) = list.iter().find(|entry| entry.name == variant.name()) else {
        return Err(variant.unknown(kind, list.iter().map(|entry| entry.name.as_str())).into());
    };
    let mut settings = Settings::new(registry, node)?;
    let value = (entry.build)(&mut settings).map_err(|error| placed(error, node))?;
    settings.finish(value)
}

/// A setting that a builder refused, with the place in the config.
pub(crate) fn placed(error: Error, node: &Node) -> Error {
    match error {
        Error::Core(core @ nextscale_core::Error::Setting { .. }) => node.error(core.to_string()).into(),
        other => other,
    }
}
