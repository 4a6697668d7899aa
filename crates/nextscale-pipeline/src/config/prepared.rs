use std::sync::Arc;

use nextscale_config::{Field, Node, Value};
use nextscale_core::{Condition, memory};
use nextscale_families::OpenModel;

use super::condition::{self, Asked};
use super::{Config, Method, folder_of};
use crate::Result;
use crate::registry::{placed, plain};

/// A config that fits its model, whose headers alone have been read.
pub struct Prepared {
    /// The config.
    pub config: Config,
    /// The model.
    pub model: Arc<dyn OpenModel>,
    /// One condition an image.
    pub conditions: Vec<Condition>,
    resolved: Node,
    identity: String,
    remarks: Vec<String>,
}

/// Refuses a batch whose logits alone would take more memory than there is.
///
/// # Errors
/// With what they would take.
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
        let with = |model: Node, batch: usize| -> Result<Node> {
            let first = [("model", model), ("condition", condition.clone())];
            let field = |(name, node): (&str, Node)| Field { name: name.into(), span: 0..0, node };
            let fields = first.map(field).into_iter().chain(config.resolved.iter().cloned()).collect();
            let mut node = plain(Value::Struct { name: None, fields })?;
            node.set_node("batch", Node::from_serialize(&batch)?)?;
            Ok(node)
        };
        let mut resolved = with(model.resolved().clone(), config.batch)?;
        if !config.trace.is_all() {
            resolved.set_node("trace", Node::from_serialize(&config.trace)?)?;
        }
        // Images depend neither on the batch nor on where the weights lie, but on what they are.
        let identity = with(plain(Value::Str(model.fingerprint().to_owned()))?, 1)?.hash();
        Ok(Self { config, model, conditions, resolved, identity, remarks })
    }

    /// The whole config with every default filled in.
    pub fn resolved(&self) -> &Node {
        &self.resolved
    }

    /// The hash of everything that images depend on, device aside.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// What a person should know of the conditions before images are made of them, in sentences.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The folders of images, one a rule.
    pub fn folders(&self) -> Vec<String> {
        let folder = |method: &Method| method.name.as_deref().map_or("images".into(), folder_of);
        self.config.methods.iter().map(folder).collect()
    }

    /// A rule as the resolved config says it, by its number.
    pub(crate) fn rule(&self, method: usize) -> Option<&Node> {
        let of = |name: &str| self.config.resolved.iter().find(|field| field.name == name);
        if let Some(field) = of("guidance") {
            return Some(&field.node);
        }
        let Value::List(variants) = &of("variants")?.node.value else { return None };
        let Value::Tuple { items, .. } = &variants.get(method)?.value else { return None };
        items.get(1)
    }

    /// What an image shows, as a grid labels it.
    pub fn label(&self, image: u64) -> String {
        self.conditions
            .get(image as usize)
            .map_or(String::new(), |condition| condition::label(condition, self.model.takes()))
    }
}
