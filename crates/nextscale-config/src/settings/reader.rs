use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use super::{Built, Description, Kind, Measured, Names, named, plain};
use crate::{ConfigError, Document, Field, Fields, Node, Result, Value};

/// The settings after a name, taken one by one when it is built. Whatever nobody took is an unknown field.
///
/// Everything taken is also recorded with its default, so that the resolved config of a run is complete.
pub struct Reader<'a> {
    names: &'a Names,
    node: &'a Node,
    /// Or why there are none: `Name(1)` has an item instead.
    fields: Result<Fields<'a>>,
    item: Option<Node>,
    resolved: Vec<Field>,
    measured: Vec<Measured>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(names: &'a Names, node: &'a Node, description: &Description) -> Self {
        let (fields, item) = (node.fields().map_err(|error| description.with_names(node, error)), None);
        Self { names, node, fields, item, resolved: Vec::new(), measured: Vec::new() }
    }

    /// The whole named value as written in the config.
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// The folder that paths in the config are relative to.
    pub fn folder(&self) -> &'a std::path::Path {
        self.names.folder()
    }

    /// The unnamed content of the parentheses of `Name(..)`, if that is all.
    ///
    /// # Errors
    /// If it is missing or does not fit.
    pub fn item<T: Serialize + DeserializeOwned>(&mut self) -> Result<T> {
        let value = self.node.variant()?.decode()?;
        self.item = Some(Node::from_serialize(&value)?);
        Ok(value)
    }

    /// A required setting.
    ///
    /// # Errors
    /// If it is missing or does not fit.
    pub fn take<T: Serialize + DeserializeOwned>(&mut self, name: &'static str) -> Result<T> {
        let value = self.fields()?.take(name)?;
        self.write(name, &value)?;
        Ok(value)
    }

    /// A setting with a default.
    ///
    /// # Errors
    /// If it does not fit.
    pub fn take_or<T: Serialize + DeserializeOwned>(&mut self, name: &'static str, default: T) -> Result<T> {
        let value = self.fields()?.take_or(name, default)?;
        self.write(name, &value)?;
        Ok(value)
    }

    /// An optional setting.
    ///
    /// # Errors
    /// If it does not fit.
    pub fn take_option<T: Serialize + DeserializeOwned>(&mut self, name: &'static str) -> Result<Option<T>> {
        let value: Option<T> = self.fields()?.take_option(name)?;
        if let Some(value) = &value {
            self.write(name, value)?;
        }
        Ok(value)
    }

    /// A required path, relative to the config's folder; absolute in the resolved config.
    ///
    /// # Errors
    /// If it is missing or not a string.
    pub fn path(&mut self, name: &'static str) -> Result<PathBuf> {
        let given: String = self.fields()?.take(name)?;
        self.located(name, &given)
    }

    /// A required file, by its path relative to the config's folder, so that messages name it as the user
    /// did; absolute in the resolved config.
    ///
    /// # Errors
    /// If it is missing or not a string.
    pub fn file(&mut self, name: &'static str) -> Result<PathBuf> {
        let given: String = self.fields()?.take(name)?;
        self.located(name, &given)?;
        Ok(self.names.folder().join(given))
    }

    /// An optional path.
    ///
    /// # Errors
    /// If it is not a string.
    pub fn path_option(&mut self, name: &'static str) -> Result<Option<PathBuf>> {
        let given: Option<String> = self.fields()?.take_option(name)?;
        given.map(|given| self.located(name, &given)).transpose()
    }

    /// A required nested setting.
    ///
    /// # Errors
    /// If it is missing or wrong.
    pub fn nested<K: Kind + ?Sized>(&mut self, name: &'static str) -> Result<Arc<K>> {
        let node = self.fields()?.node(name)?;
        let built = self.names.build(node)?;
        Ok(self.keep_built(name, built))
    }

    /// A nested setting with a default in RON.
    ///
    /// # Errors
    /// If it is wrong.
    pub fn nested_or<K: Kind + ?Sized>(&mut self, name: &'static str, default: &str) -> Result<Arc<K>> {
        let built = match self.fields()?.node_option(name) {
            Some(node) => self.names.build(node)?,
            None => self.names.build(&Document::parse(name, default)?)?,
        };
        Ok(self.keep_built(name, built))
    }

    /// An optional nested setting, which may be omitted or written `None`.
    ///
    /// # Errors
    /// If it is wrong.
    pub fn nested_option<K: Kind + ?Sized>(&mut self, name: &'static str) -> Result<Option<Arc<K>>> {
        let node = self.fields()?.node_option(name);
        let Some(node) = node else { return Ok(None) };
        let built = self.names.build(node)?;
        Ok(Some(self.keep_built(name, built)))
    }

    /// A required list of nested settings.
    ///
    /// # Errors
    /// If it is missing or not a list, or an item is wrong.
    pub fn list<K: Kind + ?Sized>(&mut self, name: &'static str) -> Result<Vec<Arc<K>>> {
        let node = self.fields()?.node(name)?;
        let Value::List(items) = &node.value else {
            let message = format!("expected a list of {}s", K::NAME);
            return Err(node.error(message).with_help("write [a, b]"));
        };
        let (mut values, mut resolved) = (Vec::new(), Vec::new());
        for item in items {
            let built = self.names.build::<K>(item)?;
            values.push(built.value);
            resolved.push(built.resolved);
            self.measured.extend(built.measured);
        }
        self.keep(name, plain(Value::List(resolved))?);
        Ok(values)
    }

    /// Records a setting in the resolved config that was not taken here, such as a default that depends on
    /// others. Reading it again must give the same.
    ///
    /// # Errors
    /// A value that RON cannot express.
    pub fn write<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<()> {
        self.keep(name, Node::from_serialize(value)?);
        Ok(())
    }

    /// Checks that every given setting has been asked for, so that a misspelt name is reported before what is
    /// missing because of it.
    ///
    /// # Errors
    /// An unknown field.
    pub fn nothing_left(&self) -> Result<()> {
        match (&self.fields, &self.item) {
            (_, Some(_)) => Ok(()),
            (Ok(fields), None) => fields.finish(),
            (Err(error), None) => Err(error.clone()),
        }
    }

    /// A setting's own check; its error is shown at the value.
    ///
    /// # Errors
    /// Those of the check.
    pub fn check<E: Display>(&mut self, name: &'static str, checked: Result<(), E>) -> Result<()> {
        checked.map_err(|error| {
            let given = self.fields.as_mut().ok().and_then(|fields| fields.node_option(name));
            let place = given.unwrap_or(self.node);
            place.error(format!("{name}: {error}"))
        })
    }

    /// The error of a constructor or of a check of the whole, shown at it or at what an override changed in
    /// it.
    ///
    /// # Errors
    /// The given one.
    pub fn accept<T, E: Display>(&self, checked: Result<T, E>) -> Result<T> {
        checked.map_err(|error| self.node.refused(error.to_string()))
    }

    /// Records that what is built was measured on the model whose weights have this fingerprint: with another
    /// model the config is refused. `what` names it in the message, such as a file, and `remedy` tells how to
    /// get one for another model.
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

    fn fields(&mut self) -> Result<&mut Fields<'a>> {
        self.fields.as_mut().map_err(|error| error.clone())
    }

    fn located(&mut self, name: &'static str, given: &str) -> Result<PathBuf> {
        let path = self.names.folder().join(given);
        let path = std::path::absolute(&path)
            .map_err(|error| self.error(format!("{name}: cannot find {}: {error}", path.display())))?;
        self.write(name, &path)?;
        Ok(path)
    }

    fn keep_built<K: ?Sized>(&mut self, name: &str, built: Built<K>) -> Arc<K> {
        self.keep(name, built.resolved);
        self.measured.extend(built.measured);
        built.value
    }

    fn keep(&mut self, name: &str, node: Node) {
        self.resolved.push(Field { name: name.into(), span: 0..0, node });
    }

    /// Returns what was built with its resolved config, if nothing is left over.
    pub(super) fn finish<K: ?Sized>(self, value: Arc<K>) -> Result<Built<K>> {
        self.nothing_left()?;
        let name = self.node.name().unwrap_or_default();
        let resolved = match (self.item, self.resolved) {
            (Some(item), _) => plain(Value::Tuple { name: Some(name.to_owned()), items: vec![item] })?,
            (None, fields) if fields.is_empty() => named(name)?,
            (None, fields) => plain(Value::Struct { name: Some(name.to_owned()), fields })?,
        };
        Ok(Built { value, resolved, measured: self.measured })
    }
}
