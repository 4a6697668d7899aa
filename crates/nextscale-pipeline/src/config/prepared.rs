use std::sync::Arc;

use nextscale_config::{Field, Node, Value};
use nextscale_core::{Condition, memory};
use nextscale_families::OpenModel;

use super::condition::{self, Asked};
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
    resolved: Node,
    identity: String,
    remarks: Vec<String>,
}

impl Prepared {
    pub(super) fn new(config: Config) -> Result<Self> {
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
        let batch = config.batch.min(conditions.len());
        let logits = [batch, model.alphabet().channels(), model.schedule().last().positions(), 4];
        let bytes = logits.iter().fold(1_u128, |bytes, &size| bytes.saturating_mul(size as u128));
        memory::check("batch", &format!("the last scale's logits of {batch} images at once"), bytes)?;
        let with = |model: Node, batch: usize| -> Result<Node> {
            let first = [("model", model), ("condition", condition.clone())];
            let field = |(name, node): (&str, Node)| Field { name: name.into(), span: 0..0, node };
            let fields = first.map(field).into_iter().chain(config.resolved.iter().cloned()).collect();
            let mut node = plain(Value::Struct { name: None, fields })?;
            node.set_node("batch", Node::from_serialize(&batch)?)?;
            Ok(node)
        };
        let resolved = with(model.resolved().clone(), config.batch)?;
        // Images depend neither on the batch nor on where the weights are stored, but on their content.
        let identity = with(plain(Value::Str(model.fingerprint().to_owned()))?, 1)?.hash();
        Ok(Self { config, model, conditions, resolved, identity, remarks })
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

    /// What an image shows, as the label of a grid.
    pub fn label(&self, image: u64) -> String {
        self.conditions
            .get(image as usize)
            .map_or(String::new(), |condition| condition::label(condition, self.model.takes()))
    }
}
