//! Models that rules use in addition to the guided one.

use std::collections::BTreeSet;
use std::sync::Arc;

use nextscale_config::{Node, Value};
use nextscale_core::{PassModel, ScaleSchedule};
use nextscale_families::{ModelSource, OpenModel};

use super::Method;
use crate::registry::plain;
use crate::{Error, Registry, Result};

/// A model of `guides: [("name", Model(..))]`; no file has been opened.
#[derive(Debug, Clone)]
pub(super) struct GuideSource {
    name: String,
    model: Arc<dyn ModelSource>,
    node: Node,
}

/// A guide whose headers have been read.
pub(crate) struct OpenGuide {
    pub name: String,
    pub model: Arc<dyn OpenModel>,
}

impl OpenGuide {
    /// In resolved configs, with `model` in the model's place.
    pub fn written(&self, model: Node) -> Result<Node> {
        let items = vec![plain(Value::Str(self.name.clone()))?, model];
        Ok(plain(Value::Tuple { name: None, items })?)
    }
}

/// Reads the list.
pub(super) fn read(list: &Node, registry: &Registry) -> Result<Vec<GuideSource>> {
    let Value::List(items) = &list.value else {
        let error = list.error(format!("expected a list of models, found {}", list.found()));
        return Err(error.with_help("write [(\"weak\", Model(..))]").into());
    };
    let mut guides: Vec<GuideSource> = Vec::new();
    for item in items {
        let pair = match &item.value {
            Value::Tuple { name: None, items } => items.as_slice(),
            _ => &[],
        };
        let [name, node] = pair else {
            let error = item.error(format!("expected a name and a model, found {}", item.found()));
            return Err(error.with_help("write (\"weak\", Model(..))").into());
        };
        let (name, model): (String, _) = (name.decode()?, registry.model(node)?);
        if name.is_empty() || guides.iter().any(|guide| guide.name == name) {
            let message = if name.is_empty() {
                "a guide without a name; give it one".to_owned()
            } else {
                format!("two guides are called `{name}`; give each its own name")
            };
            return Err(item.error(message).into());
        }
        guides.push(GuideSource { name, model, node: node.clone() });
    }
    Ok(guides)
}

/// Opens all of them, and returns those that a rule uses.
///
/// # Errors
/// If one does not fit the model, or a rule refers to one that does not exist.
pub(super) fn open(
    sources: &[GuideSource],
    methods: &[Method],
    guided: &dyn OpenModel,
) -> Result<Vec<OpenGuide>> {
    let mut guides = Vec::new();
    for GuideSource { name, model, node } in sources {
        let model = model.open(node)?;
        if let Some(difference) = difference(guided, &*model) {
            let message = format!("the guide `{name}` does not fit the model: {difference}");
            let help =
                "take one that was trained with the model's own tokenizer, on its scales and conditions";
            return Err(node.error(message).with_help(help).into());
        }
        guides.push(OpenGuide { name: name.clone(), model });
    }
    read_ones(guides, methods, guided, |name| format!("add guides: [(\"{name}\", Model(..))] to the config"))
}

/// Models with random weights of these sizes, in place of a config's guides; returns those that a rule uses.
///
/// # Errors
/// If one does not fit the model, or a rule refers to one that is not given.
pub(crate) fn random(
    given: &[(String, String)],
    methods: &[Method],
    guided: &dyn OpenModel,
    registry: &Registry,
) -> Result<Vec<OpenGuide>> {
    let mut guides: Vec<OpenGuide> = Vec::new();
    for (name, sizes) in given {
        let model = registry.random(sizes)?;
        if let Some(difference) = difference(guided, &*model) {
            return Err(Error::Usage(format!("the guide `{name}` does not fit the model: {difference}")));
        }
        if guides.iter().any(|guide| guide.name == *name) {
            return Err(Error::Usage(format!("a second guide named `{name}`")));
        }
        guides.push(OpenGuide { name: name.clone(), model });
    }
    read_ones(guides, methods, guided, |name| {
        format!("with random weights, give its sizes: --guide {name}=16")
    })
}

/// The guides that a rule uses. `help` is the remedy where one is missing.
fn read_ones(
    mut guides: Vec<OpenGuide>,
    methods: &[Method],
    guided: &dyn OpenModel,
    help: impl Fn(&str) -> String,
) -> Result<Vec<OpenGuide>> {
    let mut read = BTreeSet::new();
    for method in methods {
        for name in read_by(method, guided.schedule()) {
            if !guides.iter().any(|guide| *guide.name == *name) {
                let names: Vec<_> = guides.iter().map(|guide| format!("`{}`", guide.name)).collect();
                let known = if names.is_empty() { "there is none".into() } else { names.join(", ") };
                let message = format!("the rule reads a model `{name}` beside the guided one; {known}");
                return Err(method.node.error(message).with_help(help(&name)).into());
            }
            read.insert(name);
        }
    }
    guides.retain(|guide| read.contains(guide.name.as_str()));
    Ok(guides)
}

/// The names of the models that a rule uses in addition to the guided one.
fn read_by(method: &Method, schedule: &ScaleSchedule) -> BTreeSet<Arc<str>> {
    let mut names = BTreeSet::new();
    for k in 0..schedule.len() {
        for pass in &method.rule.passes(k, schedule) {
            if let PassModel::Named(name) = &pass.model {
                names.insert(Arc::clone(name));
            }
        }
    }
    names
}

/// How a guide differs from what the guided model's passes need.
fn difference(guided: &dyn OpenModel, guide: &dyn OpenModel) -> Option<String> {
    let differ = |what: &str, own: String, others: String| {
        (own != others).then(|| format!("{what} {others}, and the model's are {own}"))
    };
    let alphabet = |model: &dyn OpenModel| {
        let alphabet = model.alphabet();
        format!("{} × {}", alphabet.slots, alphabet.classes)
    };
    let conditions = |model: &dyn OpenModel| {
        let takes = model.takes();
        let prompts = if takes.prompts { " and texts" } else { "" };
        format!("{} classes{prompts}", takes.classes)
    };
    // Some kinds of models do not identify their tokenizer.
    let known = !guided.tokenizer().is_empty() && !guide.tokenizer().is_empty();
    let tokenizer = |model: &dyn OpenModel| if known { model.tokenizer().to_owned() } else { String::new() };
    differ("its scales are", guided.schedule().to_string(), guide.schedule().to_string())
        .or_else(|| differ("its tokens have choices × classes of", alphabet(guided), alphabet(guide)))
        .or_else(|| differ("its tokenizer's weights are", tokenizer(guided), tokenizer(guide)))
        .or_else(|| differ("it takes", conditions(guided), conditions(guide)))
}
