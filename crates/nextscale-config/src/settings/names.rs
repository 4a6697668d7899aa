use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Description, Measured, Reader, Settings};
use crate::{Document, Node, Result};

/// A kind of thing that configs name: `dyn Guidance`, `dyn Prior`, `dyn Sampler`.
pub trait Kind: 'static {
    /// What one is called in messages: "guidance rule".
    const NAME: &'static str;
    /// What it is called in the schema: "Rule".
    const SCHEMA: &'static str;
}

/// A name for use in configs, with the function that builds it.
pub struct Entry<K: Kind + ?Sized> {
    /// Its description.
    pub description: Description,
    build: Build<K>,
    sample: Sample<K>,
}

type Build<K> = Arc<dyn Fn(&mut Reader<'_>) -> Result<Arc<K>> + Send + Sync>;
type Sample<K> = Arc<dyn Fn() -> Option<Arc<K>> + Send + Sync>;

/// What was built, and its config with every default filled in.
#[derive(Debug, Clone)]
pub struct Built<K: ?Sized> {
    /// The thing.
    pub value: Arc<K>,
    /// Its resolved config.
    pub resolved: Node,
    /// What in it was measured on a model and does not apply to others.
    pub measured: Vec<Measured>,
}

impl<K: Kind + ?Sized> Entry<K> {
    /// An entry with settings. `shared` is `|thing| Arc::new(thing)`, which only the caller can write for any
    /// kind.
    pub fn of<T: Settings>(shared: impl Fn(T) -> Arc<K> + Clone + Send + Sync + 'static) -> Self {
        let sample = shared.clone();
        Self {
            description: T::description(),
            build: Arc::new(move |reader| T::read(reader).map(&shared)),
            sample: Arc::new(move || T::sample().map(&sample)),
        }
    }

    /// An entry without settings for a value that exists already, with whatever it shares with the program.
    pub fn value(name: &'static str, about: &'static str, value: Arc<K>) -> Self
    where
        Arc<K>: Send + Sync,
    {
        let description = Description { name, about, example: name, settings: Vec::new(), also: Vec::new() };
        let build = move |_: &mut Reader<'_>| Ok(Arc::clone(&value));
        Self { description, build: Arc::new(build), sample: Arc::new(|| None) }
    }

    /// An instance to try: its sample, or else its example, built.
    ///
    /// # Errors
    /// As [`Names::build`] of the example.
    pub fn sample(&self, names: &Names) -> Result<Arc<K>> {
        match self.own_sample() {
            Some(sample) => Ok(sample),
            None => Ok(names.build(&self.example()?)?.value),
        }
    }

    /// Its sample, if its example needs a file.
    pub fn own_sample(&self) -> Option<Arc<K>> {
        (self.sample)()
    }

    /// The example, parsed.
    ///
    /// # Errors
    /// If it is not RON.
    pub fn example(&self) -> Result<Node> {
        Document::parse(self.description.name, self.description.example)
    }
}

// A derive would require `K: Clone`.
impl<K: Kind + ?Sized> Clone for Entry<K> {
    fn clone(&self) -> Self {
        Self {
            description: self.description.clone(),
            build: Arc::clone(&self.build),
            sample: Arc::clone(&self.sample),
        }
    }
}

/// The names of every kind, and the folder that paths in the config are relative to.
#[derive(Clone, Default)]
pub struct Names {
    /// A `Vec<Entry<K>>` for each `dyn K`.
    kinds: BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>,
    folder: PathBuf,
}

impl Names {
    /// No names.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with paths in configs relative to `folder`.
    #[must_use]
    pub fn in_folder(self, folder: &Path) -> Self {
        Self { folder: folder.into(), ..self }
    }

    /// The folder that paths in the config are relative to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds a name to its kind, replacing an entry of the same name.
    pub fn add<K: Kind + ?Sized>(&mut self, entry: Entry<K>) {
        let mut entries = self.entries::<K>().to_vec();
        match entries.iter_mut().find(|known| known.description.name == entry.description.name) {
            Some(known) => *known = entry,
            None => entries.push(entry),
        }
        self.kinds.insert(TypeId::of::<K>(), Arc::new(entries));
    }

    /// All names of a kind, in the order they were added.
    pub fn entries<K: Kind + ?Sized>(&self) -> &[Entry<K>] {
        let entries = self.kinds.get(&TypeId::of::<K>());
        entries.and_then(|entries| entries.downcast_ref::<Vec<Entry<K>>>()).map_or(&[], Vec::as_slice)
    }

    /// Builds what a config names.
    ///
    /// # Errors
    /// An unknown name or field, a wrong type or value, with the place in the config.
    pub fn build<K: Kind + ?Sized>(&self, node: &Node) -> Result<Built<K>> {
        let variant = node.variant()?;
        let entries = self.entries::<K>();
        let Some(entry) = entries.iter().find(|entry| entry.description.name == variant.name()) else {
            let allowed = entries.iter().map(|entry| entry.description.name);
            return Err(variant.unknown(K::NAME, allowed));
        };
        let mut reader = Reader::new(self, node, &entry.description);
        let value = (entry.build)(&mut reader)?;
        reader.finish(value)
    }

    /// Builds something of a known type, whether it was added or not; nested names are looked up here.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn read<T: Settings>(&self, node: &Node) -> Result<Built<T>> {
        let description = T::description();
        let variant = node.variant()?;
        if variant.name() != description.name {
            return Err(variant.unknown("name", [description.name]));
        }
        let mut reader = Reader::new(self, node, &description);
        let value = T::read(&mut reader)?;
        reader.finish(Arc::new(value))
    }
}
