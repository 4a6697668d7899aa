use std::sync::Arc;

use nextscale_config::{Field, Node, Value};
use nextscale_core::{Condition, PassModel, memory};
use nextscale_families::{LoadOptions, OpenModel};
use nextscale_generate::{Guide, Model};

use super::condition::{self, Asked};
use super::guides::{self, OpenGuide};
use super::{Config, Method, folder_of};
use crate::Result;
use crate::registry::{placed, plain};

/// A config that fits its model, of which only headers have been read.
pub struct Prepared {
    /// The config.
    pub config: Config,
    /// The model.
    pub model: Arc<dyn OpenModel>,
    /// One condition per image.
    pub conditions: Vec<Condition>,
    guides: Vec<OpenGuide>,
    resolved: Node,
    identity: String,
    remarks: Vec<String>,
}

/// Refuses a batch whose logits alone would exceed the memory.
///
/// # Errors
/// With the memory that they would take.
pub(crate) fn fits_in_memory(batch: usize, model: &dyn OpenModel) -> Result<()> {
    let logits = [batch, model.alphabet().channels(), model.schedule().last().positions()];
    let what = format!("the last scale's logits of {batch} images at once");
    Ok(memory::check("batch", &what, memory::of_f32(&logits))?)
}

impl Prepared {
    pub(super) fn new(mut config: Config) -> Result<Self> {
        let model = config.model.open(&config.model_node)?;
        let schedule = model.schedule();
        for method in &config.methods {
            let checked = method.rule.check(schedule, model.alphabet());
            checked.map_err(|error| placed(error.into(), &method.node))?;
            for k in 0..schedule.len() {
                for pass in
                    method.rule.passes(k, schedule).iter().filter(|pass| pass.model == PassModel::Main)
                {
                    model.runs(pass).map_err(|error| placed(error, &method.node))?;
                }
            }
        }
        let guides = guides::open(&config.guides, &config.methods, &*model)?;
        if let Some(edit) = &config.edit {
            edit.check_files()?;
        }
        let sampling = config.sampler.check(schedule, model.alphabet());
        sampling.map_err(|error| placed(error.into(), &config.sampling_node))?;
        config.measured.iter().try_for_each(|measured| measured.check(model.fingerprint()))?;
        let Asked { conditions, resolved: condition } = config.conditions(model.takes())?;
        let remarks = model.remarks(&conditions)?;
        if let Some(node) = &config.trace_node {
            config.trace.check(node, schedule, conditions.len() as u64)?;
        }
        fits_in_memory(config.batch.min(conditions.len()), &*model)?;
        let with = |of: &dyn Fn(&dyn OpenModel) -> Result<Node>, batch: usize| -> Result<Node> {
            let first = [("model", of(&*model)?), ("condition", condition.clone())];
            let guides = guides.iter().map(|guide| guide.written(of(&*guide.model)?));
            let guides = plain(Value::List(guides.collect::<Result<_>>()?))?;
            let field = |(name, node): (&str, Node)| Field { name: name.into(), span: 0..0, node };
            // A config without guides has the same identity as before there were any.
            let guides = Some(("guides", guides))
                .filter(|(_, node)| !matches!(&node.value, Value::List(list) if list.is_empty()));
            let fields =
                first.into_iter().chain(guides).map(field).chain(config.resolved.iter().cloned()).collect();
            let mut node = plain(Value::Struct { name: None, fields })?;
            node.set_node("batch", Node::from_serialize(&batch)?)?;
            Ok(node)
        };
        let mut resolved = with(&|model| Ok(model.resolved().clone()), config.batch)?;
        if !config.trace.is_all() {
            resolved.set_node("trace", Node::from_serialize(&config.trace)?)?;
        }
        // Images depend neither on the batch nor on where the weights are stored, but on their content.
        let identity = with(&|model| Ok(plain(Value::Str(model.fingerprint().to_owned()))?), 1)?.hash();
        Ok(Self { config, model, conditions, guides, resolved, identity, remarks })
    }

    /// Reads the weights of the model, and of the guides that a rule uses.
    ///
    /// # Errors
    /// As [`OpenModel::load`], and if a guide does not fit.
    pub fn load(&self, options: &LoadOptions<'_>) -> Result<Model> {
        let mut model = self.model.load(options)?;
        for OpenGuide { name, model: guide } in &self.guides {
            let Model { backbone, conditioner, .. } =
                guide.load(&LoadOptions { with_encoder: false, ..*options })?;
            model = model.with_guide(name, Guide { backbone, conditioner })?;
        }
        Ok(model)
    }

    /// The fingerprint of the weights that are read: those of the model, and of the guides that a rule uses.
    pub fn weights(&self) -> String {
        let guides = self.guides.iter().map(|guide| guide.model.fingerprint());
        std::iter::once(self.model.fingerprint()).chain(guides).collect::<Vec<_>>().join("+")
    }

    /// The whole config with every default filled in.
    pub fn resolved(&self) -> &Node {
        &self.resolved
    }

    /// The hash of everything except the device that images depend on.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Warnings about the conditions, in sentences, before images are generated.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The folders of images, one per rule.
    pub fn folders(&self) -> Vec<String> {
        let folder = |method: &Method| method.name.as_deref().map_or("images".into(), folder_of);
        self.config.methods.iter().map(folder).collect()
    }

    /// A rule of the resolved config, by its number.
    pub(crate) fn rule(&self, method: usize) -> Option<&Node> {
        let of = |name: &str| self.config.resolved.iter().find(|field| field.name == name);
        if let Some(field) = of("guidance") {
            return Some(&field.node);
        }
        let Value::List(variants) = &of("variants")?.node.value else { return None };
        let Value::Tuple { items, .. } = &variants.get(method)?.value else { return None };
        items.get(1)
    }

    /// What an image shows, as the label of a grid.
    pub fn label(&self, image: u64) -> String {
        self.conditions
            .get(image as usize)
            .map_or(String::new(), |condition| condition::label(condition, self.model.takes()))
    }
}
