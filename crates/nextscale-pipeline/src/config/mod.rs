//! Configs: from a RON file to a run's components.

mod condition;
mod edit;
pub(crate) mod guides;
mod prepared;

use condition::Asked;
pub use edit::{EditSpec, Given, KeptTokens};
use guides::GuideSource;
pub use prepared::Prepared;
pub(crate) use prepared::fits_in_memory;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nextscale_config::{Document, Field, Node, Value};
use nextscale_families::{ModelSource, Takes};
use nextscale_guidance::Guidance;

use crate::registry::{Measured, plain};
use crate::trace_spec::TraceSpec;
use crate::{Registry, Result};
use nextscale_generate::pictures::Rounding;
use nextscale_generate::sampler::Sampler;

/// A guidance rule of a run.
#[derive(Debug, Clone)]
pub struct Method {
    /// Its name among the variants; `None` if the run has one rule.
    pub name: Option<String>,
    /// The rule.
    pub rule: Arc<dyn Guidance>,
    /// Its place in the config.
    pub(crate) node: Node,
}

/// A config that has been read. Of the files that it names, only the averages of a `Marginal` have been
/// opened.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which model.
    pub model: Arc<dyn ModelSource>,
    /// The rules, all of which use the same random numbers.
    pub methods: Vec<Method>,
    /// The sampler.
    pub sampler: Arc<dyn Sampler>,
    /// The seed of all randomness.
    pub seed: u64,
    /// Images generated at once.
    pub batch: usize,
    /// Given tokens to keep.
    pub edit: Option<EditSpec>,
    /// How colours become bytes.
    pub rounding: Rounding,
    /// Whether to write `images.npz` too.
    pub npz: bool,
    guides: Vec<GuideSource>,
    /// The contents of a trace, if one is requested. Images do not depend on it.
    pub trace: TraceSpec,
    trace_node: Option<Node>,
    model_node: Node,
    condition: Node,
    folder: PathBuf,
    sampling_node: Node,
    measured: Vec<Measured>,
    resolved: Vec<Field>,
}

impl Config {
    /// Reads a file; paths in it are relative to its folder.
    ///
    /// # Errors
    /// If it cannot be read or is wrong, with the place.
    pub fn read(path: &Path, registry: &Registry) -> Result<Self> {
        Self::from_node(&Document::read(path)?, path.parent().unwrap_or(Path::new("")), registry)
    }

    /// Reads a tree to which overrides have been applied; paths in it are relative to `folder`.
    ///
    /// # Errors
    /// If it is wrong, with the place.
    pub fn from_node(node: &Node, folder: &Path, registry: &Registry) -> Result<Self> {
        let registry = &registry.clone().in_folder(folder);
        let mut fields = node.fields()?;
        let model_node = fields.node("model")?;
        let condition = fields.node("condition")?;
        let (guidance, variants) = (fields.node_option("guidance"), fields.node_option("variants"));
        let guides = fields.node_option("guides");
        let sampling = fields.node_option("sampling").cloned();
        let seed: u64 = fields.take_or("seed", 0)?;
        let batch: usize = fields.take_or("batch", 8)?;
        let edit = fields.node_option("edit");
        let rounding = fields.take_or("rounding", Rounding::default())?;
        let npz = fields.take_or("npz", false)?;
        let trace_node = fields.node_option("trace").cloned();
        fields.finish()?;
        if batch == 0 {
            return Err(node.get("batch")?.error("a batch of 0 images; give at least 1").into());
        }
        let named = match (guidance, variants) {
            (Some(rule), None) => vec![(None, rule.clone())],
            (None, Some(list)) => variant_list(list)?,
            (Some(_), Some(list)) => {
                let error = list.error("`variants` and `guidance` cannot be combined; give one of them");
                return Err(error.with_help("put the rule into the list: (\"name\", Rule(..))").into());
            }
            (None, None) => {
                let help = "add `guidance: Conditional`, or another of `nextscale list`";
                return Err(node.error("missing field `guidance`").with_help(help).into());
            }
        };
        let mut methods = Vec::new();
        let mut rules = Vec::new();
        let mut measured = Vec::new();
        for (name, node) in named {
            let built = registry.rule(&node)?;
            measured.extend(built.measured);
            rules.push(match &name {
                None => built.resolved,
                Some(name) => {
                    let items = vec![plain(Value::Str(name.clone()))?, built.resolved];
                    plain(Value::Tuple { name: None, items })?
                }
            });
            methods.push(Method { name, rule: built.value, node });
        }
        let sampling_node = match sampling {
            Some(node) => node,
            None => crate::registry::named("TopKTopP")?,
        };
        let sampler = registry.sampler(&sampling_node)?;
        measured.extend(sampler.measured);
        let edit = edit.map(|node| EditSpec::read(node, folder)).transpose()?;
        let mut resolved =
            resolved_fields(&methods, rules, sampler.resolved, seed, batch, edit.as_ref(), npz)?;
        // Without it a config has the same identity as before there was a choice.
        if rounding != Rounding::default() {
            let node = Node::from_serialize(&rounding)?;
            resolved.push(Field { name: "rounding".into(), span: 0..0, node });
        }
        Ok(Self {
            model: registry.model(model_node)?,
            guides: guides.map_or(Ok(Vec::new()), |list| guides::read(list, registry))?,
            methods,
            sampler: sampler.value,
            seed,
            batch,
            edit,
            rounding,
            npz,
            trace: trace_node.as_ref().map(TraceSpec::read).transpose()?.unwrap_or_default(),
            trace_node,
            model_node: model_node.clone(),
            condition: condition.clone(),
            folder: folder.into(),
            sampling_node,
            measured,
            resolved,
        })
    }

    /// One condition per image, for a model that takes these, and the config's `condition` without other
    /// files.
    ///
    /// # Errors
    /// If a label is out of range or of a kind that the model does not take, or a file of prompts cannot be
    /// read.
    pub(crate) fn conditions(&self, takes: &Takes) -> Result<Asked> {
        condition::read(&self.condition, takes, &self.folder)
    }

    /// Reads the headers of the model's files and checks everything against them, before any weights are
    /// read.
    ///
    /// # Errors
    /// If a file is missing or wrong, or scales, labels or settings do not fit the model.
    pub fn prepare(self) -> Result<Prepared> {
        Prepared::new(self)
    }
}

/// Every field but `model` and `condition`, with defaults filled in.
fn resolved_fields(
    methods: &[Method],
    mut rules: Vec<Node>,
    sampling: Node,
    seed: u64,
    batch: usize,
    edit: Option<&EditSpec>,
    npz: bool,
) -> Result<Vec<Field>> {
    let mut fields = Vec::new();
    let mut add = |name: &str, node: Node| fields.push(Field { name: name.into(), span: 0..0, node });
    match (methods, rules.pop()) {
        ([Method { name: None, .. }], Some(rule)) => add("guidance", rule),
        (_, last) => {
            rules.extend(last);
            add("variants", plain(Value::List(rules))?);
        }
    }
    add("sampling", sampling);
    add("seed", Node::from_serialize(&seed)?);
    add("batch", Node::from_serialize(&batch)?);
    if let Some(edit) = edit {
        add("edit", edit.resolved()?);
    }
    add("npz", Node::from_serialize(&npz)?);
    Ok(fields)
}

/// The pairs of `variants: [("name", Rule(..))]`, with distinct folders.
fn variant_list(list: &Node) -> Result<Vec<(Option<String>, Node)>> {
    let Value::List(items) = &list.value else {
        return Err(list
            .error("expected a list of variants")
            .with_help("write [(\"name\", Rule(..))]")
            .into());
    };
    if items.is_empty() {
        return Err(list.error("no variants; give at least one").into());
    }
    let (mut variants, mut folders) = (Vec::new(), BTreeSet::new());
    for item in items {
        let Value::Tuple { name: None, items: pair } = &item.value else { return Err(no_pair(item)) };
        let [name, rule] = pair.as_slice() else { return Err(no_pair(item)) };
        let name: String = name.decode()?;
        let folder = folder_of(&name);
        if folder.is_empty() {
            return Err(item
                .error(format!("the name `{name}` cannot be a folder; use letters or digits"))
                .into());
        }
        if folders.contains(&folder) {
            return Err(item.error(format!("a second variant that writes to the folder `{folder}`")).into());
        }
        folders.insert(folder);
        variants.push((Some(name), rule.clone()));
    }
    Ok(variants)
}

fn no_pair(item: &Node) -> crate::Error {
    let error = item.error(format!("expected a name and a rule, found {}", item.found()));
    error.with_help("write (\"name\", Rule(..))").into()
}

/// The folder of a variant: letters, digits, points, plus, minus and underscore are kept, anything between
/// becomes one minus.
pub fn folder_of(name: &str) -> String {
    let mut folder = String::new();
    for c in name.chars() {
        if c.is_alphanumeric() || "._".contains(c) {
            folder.push(c);
        } else if !folder.ends_with('-') {
            folder.push('-');
        }
    }
    folder.trim_matches(['-', '.']).into()
}
