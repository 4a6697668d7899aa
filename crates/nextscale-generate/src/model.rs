use std::collections::BTreeMap;
use std::sync::Arc;

use nextscale_backbones::{Backbone, Conditioner};
use nextscale_core::{PassModel, ScaleSchedule};
use nextscale_tokenizers::Tokenizer;

use crate::{Error, Result};

/// A tokenizer, a backbone and a conditioner that fit each other, with additional models for guidance.
#[derive(Clone)]
pub struct Model {
    /// Draws to images.
    pub tokenizer: Arc<dyn Tokenizer>,
    /// Canvases to logits.
    pub backbone: Arc<dyn Backbone>,
    /// Conditions to what the backbone reads.
    pub conditioner: Arc<dyn Conditioner>,
    pub(crate) guides: BTreeMap<Arc<str>, Guide>,
}

/// Another backbone with the same tokenizer and scales, which rules may use beside the guided one.
#[derive(Clone)]
pub struct Guide {
    /// Canvases to logits.
    pub backbone: Arc<dyn Backbone>,
    /// Conditions to its input.
    pub conditioner: Arc<dyn Conditioner>,
}

impl Model {
    /// Combines the parts.
    ///
    /// # Errors
    /// [`Error::Unfit`] if scales, alphabets, channels or devices of tokenizer and backbone differ.
    pub fn new(
        tokenizer: Arc<dyn Tokenizer>,
        backbone: Arc<dyn Backbone>,
        conditioner: Arc<dyn Conditioner>,
    ) -> Result<Self> {
        fit(&*tokenizer, &*backbone, "the backbone")?;
        Ok(Self { tokenizer, backbone, conditioner, guides: BTreeMap::new() })
    }

    /// The same with another backbone, which rules refer to by this name.
    ///
    /// # Errors
    /// [`Error::Unfit`] if it does not fit the tokenizer.
    pub fn with_guide(mut self, name: &str, guide: Guide) -> Result<Self> {
        fit(&*self.tokenizer, &*guide.backbone, &format!("the model `{name}`"))?;
        self.guides.insert(name.into(), guide);
        Ok(self)
    }

    /// The same on other scales.
    ///
    /// # Errors
    /// If tokenizer or backbone cannot generate them.
    pub fn on_scales(&self, schedule: &ScaleSchedule) -> Result<Self> {
        if self.schedule() == schedule {
            return Ok(self.clone());
        }
        let mut model = Self::new(
            self.tokenizer.on_scales(schedule)?,
            self.backbone.on_scales(schedule)?,
            Arc::clone(&self.conditioner),
        )?;
        for (name, guide) in &self.guides {
            let backbone = guide.backbone.on_scales(schedule)?;
            model =
                model.with_guide(name, Guide { backbone, conditioner: Arc::clone(&guide.conditioner) })?;
        }
        Ok(model)
    }

    /// The scales of both.
    pub fn schedule(&self) -> &ScaleSchedule {
        self.backbone.schedule()
    }

    /// The backbone and conditioner of a pass.
    ///
    /// # Errors
    /// [`Error::Unfit`] if no model has the pass's name.
    pub fn of_pass(&self, model: &PassModel) -> Result<(&dyn Backbone, &dyn Conditioner)> {
        match model {
            PassModel::Main => Ok((&*self.backbone, &*self.conditioner)),
            PassModel::Named(name) => match self.guides.get(name) {
                Some(guide) => Ok((&*guide.backbone, &*guide.conditioner)),
                None => {
                    let known: Vec<&str> = self.guides.keys().map(|name| &**name).collect();
                    let known = if known.is_empty() { "there is none".into() } else { known.join(", ") };
                    Err(Error::Unfit(format!(
                        "the rule reads a model `{name}` beside the guided one; {known}"
                    )))
                }
            },
        }
    }
}

/// Checks that a backbone reads and predicts what the tokenizer writes and embeds.
fn fit(tokenizer: &dyn Tokenizer, backbone: &dyn Backbone, name: &str) -> Result<()> {
    let differ = |what: &str, t: String, b: String| {
        Err(Error::Unfit(format!(
            "the tokenizer and {name} do not fit: {what} {t} and {b}; take both from one model"
        )))
    };
    if tokenizer.schedule() != backbone.schedule() {
        return differ("scales", tokenizer.schedule().to_string(), backbone.schedule().to_string());
    }
    if tokenizer.alphabet() != backbone.alphabet() {
        return differ(
            "alphabets",
            format!("{:?}", tokenizer.alphabet()),
            format!("{:?}", backbone.alphabet()),
        );
    }
    if tokenizer.input_channels() != backbone.input_channels() {
        let channels = |n: usize| format!("of {n} channels");
        return differ("features", channels(tokenizer.input_channels()), channels(backbone.input_channels()));
    }
    if tokenizer.device() != backbone.device() {
        return differ("devices", format!("{:?}", tokenizer.device()), format!("{:?}", backbone.device()));
    }
    Ok(())
}
