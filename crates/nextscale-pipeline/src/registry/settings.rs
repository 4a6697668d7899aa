use std::path::PathBuf;
use std::sync::Arc;

use nextscale_config::{ConfigError, Field, Fields, Node, Value};
use nextscale_guidance::Guidance;
use nextscale_priors::Prior;
use serde::{Serialize, de::DeserializeOwned};

use super::{Built, Measured, Registry};
use crate::{Error, Result};

/// The settings after a name, taken one by one by whoever builds the thing; what nobody took is an unknown field.
///
/// What is taken is also written down with its defaults, so that the resolved config of a run is complete.
pub struct Settings<'a> {
    registry: &'a Registry,
    node: &'a Node,
    fields: Fields<'a>,
    resolved: Vec<Field>,
    measured: Vec<Measured>,
    whole: bool,
}

impl<'a> Settings<'a> {
    pub(super) fn new(registry: &'a Registry, node: &'a Node) -> Result<Self> {
        Ok(Self {
            registry,
            node,
            fields: node.fields()?,
            resolved: Vec::new(),
            measured: Vec::new(),
            whole: false,
        })
    }

    /// The whole named value as it stands in the config.
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// All settings at once, as a serde struct that knows its own defaults.
    ///
    /// # Errors
    /// An unknown field, or a wrong type or value.
    pub fn all<T: Serialize + DeserializeOwned>(&mut self) -> Result<T> {
        let value: T = self.node.variant()?.decode()?;
        if let Value::Struct { fields, .. } = Node::from_serialize(&value)?.value {
            self.resolved.extend(fields);
        }
        self.whole = true;
        Ok(value)
    }

    /// A setting that must be given.
    ///
    /// # Errors
    /// If it is missing or does not fit.
    pub fn take<T: Serialize + DeserializeOwned>(&mut self, name: &'static str) -> Result<T> {
        let value = self.fields.take(name)?;
        self.keep(name, Node::from_serialize(&value)?);
        Ok(value)
    }

    /// A setting with a default.
    ///
    /// # Errors
    /// If it does not fit.
    pub fn take_or<T: Serialize + DeserializeOwned>(&mut self, name: &'static str, default: T) -> Result<T> {
        let value = self.fields.take_or(name, default)?;
        self.keep(name, Node::from_serialize(&value)?);
        Ok(value)
    }

    /// A setting that may be left out.
    ///
    /// # Errors
    /// If it does not fit.
    pub fn take_option<T: Serialize + DeserializeOwned>(&mut self, name: &'static str) -> Result<Option<T>> {
        let value: Option<T> = self.fields.take_option(name)?;
        if let Some(value) = &value {
            self.keep(name, Node::from_serialize(value)?);
        }
        Ok(value)
    }

    /// A path that must be given, relative to the config's folder; the resolved config says it absolutely.
    ///
    /// # Errors
    /// If it is missing or no text.
    pub fn path(&mut self, name: &'static str) -> Result<PathBuf> {
        let given: String = self.fields.take(name)?;
        let path = self.registry.folder.join(given);
        let path = std::path::absolute(&path).map_err(Error::io("find", &path))?;
        self.keep(name, Node::from_serialize(&path)?);
        Ok(path)
    }

    /// A nested rule that must be given.
    ///
    /// # Errors
    /// If it is missing or wrong.
    pub fn rule(&mut self, name: &'static str) -> Result<Arc<dyn Guidance>> {
        let node = self.fields.node(name)?;
        let built = self.registry.rule(node)?;
        Ok(self.nested(name, built))
    }

    /// A nested rule with a default.
    ///
    /// # Errors
    /// If it is wrong.
    pub fn rule_or(&mut self, name: &'static str, default: &str) -> Result<Arc<dyn Guidance>> {
        let built = match self.fields.node_option(name) {
            Some(node) => self.registry.rule(node)?,
            None => self.registry.rule(&named(default)?)?,
        };
        Ok(self.nested(name, built))
    }

    /// A list of nested rules that must be given.
    ///
    /// # Errors
    /// If it is missing, no list, or one of them is wrong.
    pub fn rules(&mut self, name: &'static str) -> Result<Vec<Arc<dyn Guidance>>> {
        let node = self.fields.node(name)?;
        let Value::List(items) = &node.value else {
            return Err(node.error("expected a list of guidance rules").with_help("write [a, b]").into());
        };
        let built = items.iter().map(|item| self.registry.rule(item)).collect::<Result<Vec<_>>>()?;
        let (mut values, mut resolved) = (Vec::new(), Vec::new());
        for built in built {
            values.push(built.value);
            resolved.push(built.resolved);
            self.measured.extend(built.measured);
        }
        self.keep(name, plain(Value::List(resolved))?);
        Ok(values)
    }

    /// A prior that must be given.
    ///
    /// # Errors
    /// If it is missing or wrong.
    pub fn prior(&mut self, name: &'static str) -> Result<Arc<dyn Prior>> {
        let node = self.fields.node(name)?;
        let built = self.registry.prior(node)?;
        Ok(self.nested(name, built))
    }

    /// Whether every setting that is given has been asked for, so that a misspelt one is told before what it leaves out.
    ///
    /// # Errors
    /// An unknown field.
    pub fn nothing_left(&self) -> Result<()> {
        Ok(self.fields.finish()?)
    }

    /// Says that what is built was measured on the model whose weights have this fingerprint: with another model the config
    /// is refused. `what` names it in the message, a file for instance, and `remedy` tells how to have it for another.
    pub fn measured_on(&mut self, weights: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.measured.push(Measured {
            weights: weights.into(),
            what: what.into(),
            remedy: remedy.into(),
            node: self.node.clone(),
        });
    }

    /// An error that points at these settings.
    pub fn error(&self, message: impl Into<String>) -> ConfigError {
        self.node.error(message)
    }

    fn nested<T: ?Sized>(&mut self, name: &str, built: Built<T>) -> Arc<T> {
        self.keep(name, built.resolved);
        self.measured.extend(built.measured);
        built.value
    }

    fn keep(&mut self, name: &str, node: Node) {
        self.resolved.push(Field { name: name.into(), span: 0..0, node });
    }

    /// The thing with its resolved config, nothing being left over.
    pub(super) fn finish<T: ?Sized>(self, built: Arc<T>) -> Result<Built<T>> {
        if !self.whole {
            self.fields.finish()?;
        }
        let name = self.node.name().unwrap_or_default().to_owned();
        let value = match self.resolved {
            fields if fields.is_empty() => Value::Ident(name),
            fields => Value::Struct { name: Some(name), fields },
        };
        Ok(Built { value: built, resolved: plain(value)?, measured: self.measured })
    }
}

/// A node of a value that stands in no text.
pub(crate) fn plain(value: Value) -> Result<Node> {
    Ok(Node { value, ..Node::from_serialize(&())? })
}

/// A bare name.
pub(crate) fn named(name: &str) -> Result<Node> {
    plain(Value::Ident(name.into()))
}
